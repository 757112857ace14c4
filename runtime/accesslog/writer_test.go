package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for; no test takes it.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gate is a sink that stands still until it is opened.
type gate struct {
	entered chan struct{} // a write has begun
	open    chan struct{} // closed: writes go through

	mu  sync.Mutex
	got bytes.Buffer
}

func newGate() *gate { return &gate{entered: make(chan struct{}, 1000), open: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	g.entered <- struct{}{}
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.Write(p)
}

func (g *gate) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.String()
}

// A sink that stands still costs lines, never time: Write takes what the buffer holds, drops and counts the rest.
func TestStuckSink(t *testing.T) {
	g := newGate()
	w := New(g, Limits{Buffer: 100})
	line := []byte("123456789\n")
	if !w.Write(line) {
		t.Fatal("the first line was dropped")
	}
	<-g.entered // the first line is under way, and stuck
	for i := range 10 {
		if !w.Write(line) {
			t.Errorf("line %d was dropped though there is room", i)
		}
	}
	for range 7 {
		if w.Write(line) {
			t.Error("a line beyond the limit was taken")
		}
	}
	if w.Dropped() != 7 {
		t.Errorf("%d dropped", w.Dropped())
	}
	if n := testing.AllocsPerRun(100, func() { w.Write(line) }); n != 0 {
		t.Errorf("%v allocations for a dropped line", n)
	}
	stuck, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Flush(stuck); !errors.Is(err, context.Canceled) {
		t.Errorf("flush: %v", err)
	}
	if err := w.Close(stuck); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	close(g.open)
	must(t, w.Close(within(t)))
	if got := g.text(); got != strings.Repeat(string(line), 11) {
		t.Errorf("written: %q", got)
	}
}

func TestLineLongerThanBuffer(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, Limits{Buffer: 10})
	if w.Write([]byte("12345678901\n")) || !w.Write([]byte("short\n")) {
		t.Error("the wrong line was dropped")
	}
	must(t, w.Close(within(t)))
	if out.String() != "short\n" || w.Dropped() != 1 {
		t.Errorf("%q, %d dropped", out.String(), w.Dropped())
	}
}

// Requirement P7: Close writes what is there, joins, and nothing is written after it.
func TestP7Close(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, Limits{})
	for i := range 100 {
		w.Write(fmt.Appendf(nil, "%d\n", i))
	}
	must(t, w.Close(within(t)))
	if n := strings.Count(out.String(), "\n"); n != 100 {
		t.Errorf("%d lines", n)
	}
	before := out.Len()
	if w.Write([]byte("late\n")) {
		t.Error("a line was taken after close")
	}
	must(t, w.Close(within(t)))
	if err := w.Flush(within(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("flush after close: %v", err)
	}
	if out.Len() != before || w.Dropped() != 1 {
		t.Errorf("%d bytes more, %d dropped", out.Len()-before, w.Dropped())
	}
}

func TestConcurrentWriters(t *testing.T) {
	const writers, each = 8, 2000
	var out bytes.Buffer
	w := New(&out, Limits{})
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for j := range each {
				w.Write(fmt.Appendf(nil, "%d %d end\n", i, j))
			}
		})
	}
	all.Wait()
	must(t, w.Flush(within(t)))
	must(t, w.Close(within(t)))
	next := make([]int, writers)
	for line := range strings.Lines(out.String()) {
		var i, j int
		if n, err := fmt.Sscanf(line, "%d %d end\n", &i, &j); n != 2 || err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if next[i] != j {
			t.Fatalf("writer %d: line %d, want %d", i, j, next[i])
		}
		next[i]++
	}
	for i, n := range next {
		if n != each {
			t.Errorf("writer %d: %d lines", i, n)
		}
	}
	if w.Dropped() != 0 {
		t.Errorf("%d dropped", w.Dropped())
	}
}

// Lines reach the sink on their own, without Flush and Close.
func TestWritesInTime(t *testing.T) {
	g := newGate()
	close(g.open)
	w := New(g, Limits{})
	defer w.Close(within(t))
	for range 3 {
		w.Write([]byte("line\n"))
		select {
		case <-g.entered:
		case <-time.After(patience):
			t.Fatal("nothing was written")
		}
	}
}

// failing is a sink that takes some bytes of each write and then fails, until it is mended.
type failing struct {
	take   int
	mended bool
	got    bytes.Buffer
}

func (f *failing) Write(p []byte) (int, error) {
	if f.mended {
		return f.got.Write(p)
	}
	f.got.Write(p[:min(f.take, len(p))])
	return min(f.take, len(p)), errors.New("no space left")
}

func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		take    int
		want    string
		dropped uint64
	}{
		{0, "after\n", 2},
		{4, "one\nafter\n", 1},
		{6, "one\ntw\nafter\n", 1}, // a torn line is ended first
	} {
		sink := &failing{take: c.take}
		w := New(sink, Limits{})
		w.mu.Lock() // both lines in one write
		w.buf, w.lines = append(w.buf, "one\ntwo\n"...), 2
		w.mu.Unlock()
		must(t, w.Flush(within(t)))
		if w.Failed() != 1 || w.Dropped() != c.dropped {
			t.Errorf("%d bytes taken: %d failed, %d dropped", c.take, w.Failed(), w.Dropped())
		}
		sink.mended = true
		w.Write([]byte("after\n"))
		must(t, w.Close(within(t)))
		if got := sink.got.String(); got != c.want {
			t.Errorf("%d bytes taken: %q", c.take, got)
		}
	}
}

func TestDeadSink(t *testing.T) {
	sink := &failing{take: 1}
	w := New(sink, Limits{})
	for range 3 {
		w.Write([]byte("line\n"))
		must(t, w.Flush(within(t)))
	}
	must(t, w.Close(within(t)))
	if w.Dropped() != 3 || w.Failed() != 3 {
		t.Errorf("%d dropped, %d failed", w.Dropped(), w.Failed())
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	must(t, os.WriteFile(path, []byte("earlier\n"), 0o600))
	w, err := Open(path, Limits{})
	must(t, err)
	w.Write([]byte("one\n"))
	must(t, w.Flush(within(t)))
	must(t, os.Rename(path, path+".1"))
	w.Write([]byte("two\n"))
	must(t, w.Flush(within(t)))
	must(t, w.Reopen())
	must(t, w.Reopen()) // a second one before the first took effect
	w.Write([]byte("three\n"))
	must(t, w.Close(within(t)))
	for name, want := range map[string]string{path + ".1": "earlier\none\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := w.Reopen(); !errors.Is(err, ErrClosed) {
		t.Errorf("reopen after close: %v", err)
	}
}

func TestReopenThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "access.log")
	w, err := Open(path, Limits{})
	must(t, err)
	must(t, os.Rename(dir, dir+".old"))
	if err := w.Reopen(); err == nil {
		t.Error("reopened where there is no directory")
	}
	w.Write([]byte("still\n"))
	must(t, w.Close(within(t)))
	if got, err := os.ReadFile(filepath.Join(dir+".old", "access.log")); err != nil || string(got) != "still\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "absent", "x"), Limits{}); err == nil {
		t.Error("opened a file in no directory")
	}
	for _, target := range []string{"stdout", "stderr"} {
		w, err := Open(target, Limits{})
		must(t, err)
		must(t, w.Reopen())
		must(t, w.Close(within(t)))
	}
	if _, err := os.Stdout.Stat(); err != nil {
		t.Errorf("standard output was closed: %v", err)
	}
}

func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	must(t, syscall.Mkfifo(path, 0o600))
	if _, err := Open(path, Limits{}); !errors.Is(err, syscall.ENXIO) {
		t.Fatalf("without a reader: %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	defer reader.Close()
	w, err := Open(path, Limits{})
	must(t, err)
	w.Write([]byte("line\n"))
	must(t, w.Close(within(t)))
	if got, err := io.ReadAll(reader); err != nil || string(got) != "line\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// The reader of standard output goes away: lines are lost and counted, and the process lives. It runs itself as the
// process.
func TestBrokenStdout(t *testing.T) {
	const child = "EDGE_TEST_BROKEN_STDOUT"
	if os.Getenv(child) != "" {
		w, err := Open("stdout", Limits{})
		must(t, err)
		w.Write([]byte("line\n"))
		must(t, w.Flush(within(t)))
		fmt.Fprintf(os.Stderr, "alive, %d dropped", w.Dropped())
		os.Exit(0)
	}
	r, pipe, err := os.Pipe()
	must(t, err)
	must(t, r.Close())
	defer pipe.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenStdout$")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stdout, cmd.Stderr = pipe, &stderr
	if err := cmd.Run(); err != nil || stderr.String() != "alive, 1 dropped" {
		t.Errorf("%v: %s", err, &stderr)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	g := newGate()
	w := New(g, Limits{})
	line := []byte("a line of an ordinary length\n")
	w.Write(line)
	<-g.entered
	for range 2000 { // let the buffer grow to its size
		w.Write(line)
	}
	w.mu.Lock()
	w.buf = w.buf[:0]
	w.mu.Unlock()
	if n := testing.AllocsPerRun(1000, func() { w.Write(line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	close(g.open)
	must(t, w.Close(within(t)))
}

// nowhere is a sink as fast as can be.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkWrite(b *testing.B) {
	w := New(nowhere{}, Limits{})
	defer w.Close(context.Background())
	line := bytes.Repeat([]byte("x"), 400)
	line[399] = '\n'
	b.ReportAllocs()
	for b.Loop() {
		w.Write(line)
	}
	b.ReportMetric(float64(w.Dropped())/float64(b.N), "dropped/op")
}
