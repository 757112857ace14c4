package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"edge/conformance/rig"
)

// TestP4NothingIsLost: the configuration is replaced, in place, with new generations of children and with new binaries, under clients of every kind. No
// connection is refused, reset or closed without notice, no answer is cut short or another than 200, no byte is wrong.
func TestP4NothingIsLost(t *testing.T) {
	reloads, generations, upgrades := 20, 4, 2
	if rig.Full() {
		reloads, generations, upgrades = 100, 10, 5
	}
	e := newEstate(t, 1, "")
	j := newJudge(t)
	e.load(j)
	echo := e.tunnel()
	wrk, h2load := startWrk(t, e.Addr, pacedWrk(t)...), startLoads(e)
	began := time.Now()
	f, upgraded := form{}, 0
	steps := reloads + generations
	for n := 1; n <= steps && !t.Failed() && j.losses() == 0; n++ {
		f.version = n
		if n%(steps/generations) == 0 {
			switch n / (steps / generations) % 3 {
			case 0:
				f.workers = 36 - max(f.workers, 16)
			case 1:
				f.children = 3 - max(f.children, 1)
			case 2:
				f.more = !f.more
			}
		}
		e.take(f)
		within(t, "the version is served", func() bool { return e.served() == fmt.Sprintf("v%d", n) })
		if n%(steps/upgrades) == 0 {
			e.upgrade()
			upgraded++
		}
		echo(fmt.Sprint("step ", n))
		j.more("uploads in chunks") // so that there are such as begin before a reload and end after it
	}
	took := time.Since(began)
	j.check(kinds...)
	wrk.check()
	runs := h2load.check()
	if upgraded != upgrades {
		t.Errorf("%d upgrades, want %d", upgraded, upgrades)
	}
	t.Logf("%d reloads, %d generations, %d upgrades in %s: %s; %s; %s",
		reloads, generations, upgraded, took.Round(time.Millisecond), j.summary(), wrk.said, runs)
}
