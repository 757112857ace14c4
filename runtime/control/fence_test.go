package control

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/runtime/config"
)

// fences are those of one world: a fence reaches as far as the timeout of the configuration it was made of.
type fences struct {
	mu   sync.Mutex
	open int
	made []string
	fail error
}

type fakeFence struct {
	all   *fences
	reach time.Duration
}

func (f *fences) make(cfg *config.Config, c *Credential, cache string) (Fence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	f.open++
	f.made = append(f.made, fmt.Sprintf("%v %s", cfg.Server.Timeout, cache))
	return &fakeFence{f, cfg.Server.Timeout}, nil
}

func (f *fakeFence) Do(start func() error) error     { return start() }
func (f *fakeFence) Covers(next *config.Config) bool { return next.Server.Timeout <= f.reach }
func (f *fakeFence) Close()                          { f.all.mu.Lock(); f.all.open--; f.all.mu.Unlock() }
func (f *fences) state() string                      { f.mu.Lock(); defer f.mu.Unlock(); return fmt.Sprint(f.open, f.made) }

// TestFences: each child has one, made of what serves when it begins and given up when it has gone. What some child does not reach begins a
// generation that does.
func TestFences(t *testing.T) {
	inWorld(t, func(w *world) {
		f := new(fences)
		w.control.options.Fence = f.make
		w.begin("children = 2\ntimeout = \"9s\"")
		expect(t, "at first", f.state(), "2 [9s cache 9s cache]")

		if change, err := w.reload("two", "children = 2\ntimeout = \"5s\""); err != nil || change.Generation {
			t.Errorf("less to reach: %+v, %v", change, err)
		}
		w.child(1).die("killed by SIGSYS")
		synctest.Wait()
		expect(t, "the replacement has one of what serves", f.state(), "2 [9s cache 9s cache 5s cache]")

		change, err := w.reload("three", "children = 2\ntimeout = \"7s\"")
		if err != nil || !change.Generation {
			t.Errorf("what one child of two reaches: %+v, %v", change, err)
		}
		synctest.Wait()
		expect(t, "a generation later", w.living(), "4 ready, 5 ready")
		expect(t, "and those of the one before are given up", f.state(), "2 [9s cache 9s cache 5s cache 7s cache 7s cache]")

		f.fail = errors.New("argument list too long")
		if _, err := w.reload("four", "children = 2\ntimeout = \"8s\""); err == nil || !strings.Contains(err.Error(), "confined: argument list too long") {
			t.Errorf("it says %v", err)
		}
		expect(t, "after a generation that failed", w.living(), "4 ready, 5 ready")
		f.fail = nil
		w.stop()
		synctest.Wait()
		expect(t, "at last", f.state()[:1], "0")
	})
}
