package admit

import (
	"math/rand/v2"
	"testing"
)

// TestDecide is A1–A3 as a table: workers = 8, so that the low-water mark is 6.
func TestDecide(t *testing.T) {
	cases := []struct {
		name       string
		closed     bool
		load       Load
		wantClosed bool
	}{
		{"A1 open, nothing to do", false, Load{0, 8, 0}, false},
		{"A1 open, no idle worker", false, Load{0, 0, 8}, true},
		{"A1 open, one idle worker", false, Load{7, 1, 9}, false},
		{"A1 open, pending reaches workers", false, Load{8, 8, 9}, true},
		{"A1 open, pending beyond workers", false, Load{80, 8, 99}, true},
		{"A1 open, active reaches workers with an empty queue", false, Load{0, 0, 8}, true},
		{"A1 open, between the marks", false, Load{7, 4, 9}, false},
		{"A2 closed, between the marks", true, Load{7, 4, 9}, true},
		{"A2 closed, pending at 75 %", true, Load{6, 4, 9}, false},
		{"A2 closed, pending low, none idle", true, Load{0, 0, 9}, true},
		{"A2 closed, pending low, one idle", true, Load{0, 1, 9}, false},
		{"A3 idle read later than workers left: active does not underflow", false, Load{0, 9, 0}, false},
		{"A3 closed, idle above workers", true, Load{0, 20, 0}, false},
		{"A3 idle below zero counts as none", false, Load{0, -1, 0}, true},
		{"connections at the bound", false, Load{0, 8, 100}, true},
		{"connections below the bound, closed", true, Load{0, 8, 99}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Door{Workers: 8, MaxConnections: 100, closed: c.closed}
			changed := d.Decide(c.load, 1)
			if d.Closed() != c.wantClosed || changed != (c.closed != c.wantClosed) {
				t.Errorf("closed = %v, changed = %v; expected closed = %v", d.Closed(), changed, c.wantClosed)
			}
		})
	}
}

// TestActiveA3: the reads cannot underflow.
func TestActiveA3(t *testing.T) {
	d := Door{Workers: 4}
	for idle, want := range map[int]int{0: 4, 1: 3, 4: 0, 5: 0, 1000: 0} {
		if got := d.Active(Load{Idle: idle}); got != want {
			t.Errorf("idle %d: active = %d, expected %d", idle, got, want)
		}
	}
}

// TestHysteresisA2: while pending moves between 75 and 100 % of the workers and somebody is idle, the door stays as it is,
// whatever it is; from any state it ends up right beyond the marks.
func TestHysteresisA2(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for workers := 5; workers <= 64; workers++ {
		for _, closed := range []bool{false, true} {
			d := Door{Workers: workers, closed: closed}
			for range 500 {
				low := workers*LowWater/100 + 1
				if d.Decide(Load{Pending: low + rng.IntN(workers-low), Idle: 1 + rng.IntN(workers)}, 1) {
					t.Fatalf("workers %d, closed %v: the door moved between the marks", workers, closed)
				}
			}
			d.Decide(Load{Pending: workers * LowWater / 100, Idle: 1}, 1)
			if d.Closed() {
				t.Fatalf("workers %d: closed at the low-water mark", workers)
			}
			d.Decide(Load{Pending: workers, Idle: workers}, 1)
			if !d.Closed() {
				t.Fatalf("workers %d: open with pending = workers", workers)
			}
		}
	}
}

// TestOneWorkerA4: with one worker the low-water mark is an empty queue.
func TestOneWorkerA4(t *testing.T) {
	d := Door{Workers: 1, closed: true}
	if d.Decide(Load{Pending: 1, Idle: 1}, 1); !d.Closed() {
		t.Error("open with one pending")
	}
	if d.Decide(Load{Pending: 0, Idle: 1}, 1); d.Closed() {
		t.Error("closed with nothing pending")
	}
}

// TestBackoffE4: each failure of accept in a row doubles the back-off up to its bound; the door is closed for exactly so long;
// one success forgets it. Once it is over, nothing asks the poller to look again at a time that has passed.
func TestBackoffE4(t *testing.T) {
	d := Door{Workers: 8}
	idle := Load{Idle: 8}
	now := int64(1)
	for _, want := range []int64{50e6, 100e6, 200e6, 400e6, 800e6, 1e9, 1e9} {
		d.Exhausted(now)
		if got := d.BackoffUntil() - now; got != want {
			t.Fatalf("back-off of %d ns, expected %d", got, want)
		}
		if d.Decide(idle, now); !d.Closed() {
			t.Fatal("open after a failure")
		}
		if d.Decide(idle, now+want-1); !d.Closed() {
			t.Fatalf("open before the back-off of %d ns is over", want)
		}
		now += want
		if changed := d.Decide(idle, now); !changed || d.Closed() {
			t.Fatalf("closed after the back-off of %d ns", want)
		}
		if at := d.BackoffUntil(); at != 0 {
			t.Fatalf("the back-off is over, and still to be waited for until %d", at)
		}
	}
	d.Accepted()
	d.Exhausted(now)
	if got := d.BackoffUntil() - now; got != BackoffMin {
		t.Errorf("back-off of %d ns after a success, expected %d", got, int64(BackoffMin))
	}
	d.Accepted()
	if d.Decide(idle, now); d.Closed() || d.BackoffUntil() != 0 {
		t.Error("a success does not end the back-off")
	}
}

// TestStopA2: after Stop nothing opens the door.
func TestStopA2(t *testing.T) {
	d := Door{Workers: 8}
	d.Stop()
	if changed := d.Decide(Load{Idle: 8}, 1); !changed || !d.Closed() {
		t.Fatal("open after Stop")
	}
	d.Exhausted(1)
	for now := int64(1); now < 10e9; now += 10e6 {
		if d.Decide(Load{Idle: 8}, now) || !d.Closed() {
			t.Fatalf("the door moved at %d", now)
		}
		d.Accepted()
	}
}
