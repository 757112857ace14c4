package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/runtime/config"
)

// inWorld runs a test in a world of its own, with a clock of its own.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		test(w)
		w.stop()
	})
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestP1FixedNumber: there are as many children as the configuration says, and each that ends is replaced one for one, at once.
func TestP1FixedNumber(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("children = 3")
		expect(t, "at first", w.living(), "1 ready, 2 ready, 3 ready")
		if err := w.control.Ready(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		before := time.Now()
		w.child(2).die("killed by SIGKILL")
		synctest.Wait()
		expect(t, "after a death", w.living(), "1 ready, 3 ready, 4 ready")
		if took := time.Since(before); took > 0 {
			t.Errorf("the replacement took %v", took)
		}
		if !strings.Contains(w.log.String(), "child=2 pid=1002 how=\"killed by SIGKILL\" lived=1m0s") {
			t.Errorf("the log says %s", w.log.String())
		}
		if n := w.control.Numbers(); n.Restarts[Died] != 1 || n.Restarts[Full] != 0 || n.Generation != 1 {
			t.Errorf("the numbers are %+v", n)
		}
	})
}

// TestP1Backoff: children that die young again and again are replaced with growing pauses, one that has lived makes it forgotten.
func TestP1Backoff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("")
		w.set(func(a *actor) {
			if a.number < 15 {
				a.failStart = errors.New("no")
			}
		})
		began := time.Now()
		w.child(1).die("killed by SIGSEGV")
		for w.living() != "15 ready" {
			time.Sleep(time.Millisecond * 50)
		}
		var pauses []time.Duration
		at := began
		for _, s := range w.started[1:] {
			pauses = append(pauses, s.Sub(at))
			at = s
		}
		for i, p := range pauses {
			want := Backoff(i + 1)
			if p != want {
				t.Errorf("before try %d: %v, want %v", i, p, want)
			}
		}
		if last := pauses[len(pauses)-1]; last != MaxBackoff {
			t.Errorf("the last pause is %v", last)
		}
		time.Sleep(YoungTime)
		before := w.count()
		w.child(15).die("ended")
		synctest.Wait()
		if w.count() != before+1 {
			t.Error("a child that had lived was not replaced at once")
		}
	})
}

func TestBackoff(t *testing.T) {
	for young, want := range map[int]time.Duration{
		0: 0, 1: 0, 2: MinBackoff, 3: 2 * MinBackoff, 4: 4 * MinBackoff, 11: MaxBackoff, 1 << 40: MaxBackoff,
	} {
		if got := Backoff(young); got != want {
			t.Errorf("after %d: %v, want %v", young, got, want)
		}
	}
}

// TestStartFails: what keeps the first child from starting is told once, and nothing is left.
func TestStartFails(t *testing.T) {
	inWorld(t, func(w *world) {
		text, cfg := parsed(t, "one", "children = 4")
		wrong := config.Problems{{File: "edge.toml", Line: 3, Message: "no such file"}}
		w.set(func(a *actor) { a.failStart = wrong })
		_, err := w.control.Begin(text, cfg)
		if err == nil || err.Error() != "edge.toml:3: no such file" {
			t.Errorf("it says %v", err)
		}
		if w.count() != 1 {
			t.Errorf("%d children were tried", w.count())
		}
		expect(t, "left", w.living()+w.sockets(), "")
		w.taken = "127.0.0.1:80"
		_, err = w.control.Begin(text, cfg)
		if err == nil || !strings.Contains(err.Error(), "edge.toml:8: listen[0].address: address already in use; stop what listens there") {
			t.Errorf("of an address that is taken it says %v", err)
		}
		w.taken = ""
		w.set(func(a *actor) { a.hangStart = true })
		if _, err = w.control.Begin(text, cfg); err == nil || !strings.Contains(err.Error(), "was not ready in 5m0s") {
			t.Errorf("of a child that does not get ready it says %v", err)
		}
	})
}

// TestStopWhileStarting: a stop does not wait for children that do not get ready.
func TestStopWhileStarting(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func(a *actor) { a.hangStart = true })
		text, cfg := parsed(t, "one", "")
		begun := make(chan error)
		go func() {
			_, err := w.control.Begin(text, cfg)
			begun <- err
		}()
		synctest.Wait()
		before := time.Now()
		if err := w.control.Stop(context.Background(), time.Minute); err != nil {
			t.Errorf("the stop says %v", err)
		}
		if err := <-begun; !errors.Is(err, ErrStopping) || time.Since(before) > 0 {
			t.Errorf("it says %v after %v", err, time.Since(before))
		}
	})
}

// TestReload: all children serve the new text, or none does.
func TestReload(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("children = 3")
		if change, err := w.reload("two", "children = 3\ntimeout = \"3s\""); err != nil || change.Generation {
			t.Fatalf("%+v, %v", change, err)
		}
		for n := 1; n <= 3; n++ {
			expect(t, "child", w.child(n).did()+"; "+w.child(n).text(), "start one, prepare two, commit; two")
		}
		if cfg := w.control.Config(); cfg.Server.Timeout != 3*time.Second {
			t.Errorf("the configuration has %v", cfg.Server.Timeout)
		}
		wrong := config.Problems{{File: "edge.toml", Line: 9, Message: "no"}}
		w.child(3).failPrepare = wrong
		if _, err := w.reload("three", "children = 3"); err == nil || err.Error() != wrong.Error() {
			t.Errorf("a reload that one child cannot do: %v", err)
		}
		synctest.Wait()
		for n := 1; n <= 3; n++ {
			expect(t, "its text", w.child(n).text(), "two")
		}
		expect(t, "the first", w.child(1).did(), "start one, prepare two, commit, prepare three, abandon")
		expect(t, "the third", w.child(3).did(), "start one, prepare two, commit, prepare three")
		w.child(1).failPrepare = wrong
		_, _ = w.reload("four", "children = 3")
		if did := w.child(2).did(); strings.Contains(did, "four") {
			t.Errorf("what one child had refused another was asked for: %s", did)
		}
		if w.count() != 3 {
			t.Errorf("there were %d children", w.count())
		}
	})
}

// TestReloadAndDeath: a child that dies meanwhile is replaced by one that serves what was decided.
func TestReloadAndDeath(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(w *world)
		text   string
		ok     bool
	}{
		{"one of two dies while it prepares", func(w *world) { w.child(2).onPrepare = func() { w.child(2).die("killed by SIGKILL") } }, "two", true},
		{"the first to be asked dies", func(w *world) { w.child(1).onPrepare = func() { w.child(1).die("killed by SIGKILL") } }, "two", true},
		{"another dies while one prepares", func(w *world) { w.child(1).onPrepare = func() { w.child(2).die("killed by SIGKILL") } }, "two", true},
		{"a replacement starts meanwhile", func(w *world) {
			w.child(1).onPrepare = func() { w.child(2).die("killed by SIGKILL"); time.Sleep(time.Second) }
		}, "two", true},
		{"one is full while it prepares", func(w *world) {
			w.child(1).busy = true
			w.child(1).onPrepare = func() { w.child(1).parent.Full(); time.Sleep(time.Second) }
		}, "two", true},
		{"one is full when it has prepared", func(w *world) {
			w.child(1).busy = true
			w.child(2).onPrepare = func() { w.child(1).parent.Full(); time.Sleep(time.Second) }
		}, "two", true},
		{"all die of it", func(w *world) {
			for n := 1; n <= 2; n++ {
				w.child(n).onPrepare = func() { w.child(n).die("killed by SIGSEGV") }
			}
		}, "one", false},
		{"one does not answer", func(w *world) { w.child(2).hang = true }, "one", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.begin("children = 2")
				time.Sleep(time.Minute)
				c.before(w)
				began := time.Now()
				_, err := w.reload("two", "children = 2")
				if took := time.Since(began); (err == nil) != c.ok || took > time.Second && !strings.Contains(c.name, "answer") {
					t.Errorf("it says %v after %v", err, took)
				}
				time.Sleep(time.Second)
				serving := 0
				for _, i := range w.control.Numbers().Children {
					if i.State != Ready {
						continue
					}
					serving++
					expect(t, "the text of a child", w.child(i.Number).text(), c.text)
				}
				if serving != 2 {
					t.Errorf("there are %s", w.living())
				}
			})
		})
	}
}

// TestReloadWithoutChildren: where no child lives to try a configuration, new ones do: a broken start can be repaired.
func TestReloadWithoutChildren(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("")
		w.set(func(a *actor) { a.failStart = errors.New("no") })
		w.child(1).die("ended with status 2")
		time.Sleep(time.Minute)
		if err := w.control.Ready(); err == nil || err.Error() != "no child serves" {
			t.Errorf("readiness says %v", err)
		}
		if _, err := w.reload("two", ""); err == nil {
			t.Error("a reload that no child can start with is done")
		}
		w.set(nil)
		if change, err := w.reload("three", ""); err != nil || !change.Generation {
			t.Errorf("%+v, %v", change, err)
		}
		time.Sleep(time.Minute)
		if n := w.control.Numbers(); len(n.Children) != 1 || w.child(n.Children[0].Number).text() != "three" {
			t.Errorf("there are %s", w.living())
		}
	})
}

// TestP4Generation: what a running child cannot change begins a new generation, which takes over only when all of it serves.
func TestP4Generation(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("children = 2")
		w.child(1).busy, w.child(2).busy = true, true
		w.set(func(a *actor) {
			if a.number == 4 {
				a.failStart = errors.New("no memory")
			}
		})
		if _, err := w.reload("two", "children = 2\nworkers = 5", "127.0.0.1:80", "127.0.0.1:81"); err == nil || err.Error() != "no memory" {
			t.Errorf("it says %v", err)
		}
		synctest.Wait()
		expect(t, "after a generation that failed", w.living()+" "+w.sockets(), "1 ready, 2 ready 127.0.0.1:80")
		expect(t, "an old child", w.child(1).did(), "start one")
		if w.child(3).serving() {
			t.Error("a child of a generation that failed has accepted")
		}
		w.taken = "0.0.0.0:80"
		_, err := w.reload("all", "children = 2", "0.0.0.0:80")
		if err == nil || !strings.Contains(err.Error(), "address already in use; edge itself has 127.0.0.1:80 open: restart it") {
			t.Errorf("of an address that edge has in part it says %v", err)
		}
		change, err := w.reload("three", "children = 1\nworkers = 5", "127.0.0.1:82", "127.0.0.1:80")
		if err != nil || !change.Generation {
			t.Errorf("%+v, %v", change, err)
		}
		synctest.Wait()
		expect(t, "with the new generation", w.living()+" "+w.sockets(), "1 retiring, 2 retiring, 5 ready 127.0.0.1:80 127.0.0.1:82")
		if n := w.control.Numbers(); n.Generation != 2 || n.Children[2].Generation != 2 {
			t.Errorf("the numbers are %+v", n)
		}
		if f := w.child(5).files; len(f) != 3 || f[1].FD != w.child(1).files[0].FD || f[2].Name != BoardFile {
			t.Errorf("the new child has %+v, the old one %+v", f, w.child(1).files)
		}
		close(w.child(1).release)
		synctest.Wait()
		expect(t, "when one has finished", w.living(), "2 retiring, 5 ready")
		time.Sleep(time.Minute) // beyond shutdown_timeout
		expect(t, "when that is over", w.living(), "5 ready")
		if n := w.control.Numbers(); n.Restarts[Died] != 0 {
			t.Error("a child that retires counts as dead")
		}
	})
}

// TestP4Accept: a generation accepts when all of it is ready. A child that fails then is replaced, and the generation before goes on where all do.
func TestP4Accept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("children = 2")
		ready := 0
		w.set(func(a *actor) {
			a.failAccept = errors.New("no watches")
			a.onStart = func() {
				for n := 3; n <= w.count(); n++ {
					if w.child(n).serving() {
						t.Error("one accepts while another starts")
					}
				}
				ready++
			}
		})
		if _, err := w.reload("two", "children = 2\nworkers = 5"); err == nil || !strings.Contains(err.Error(), "no watches") || ready != 2 {
			t.Errorf("with %d that start it says %v", ready, err)
		}
		synctest.Wait()
		expect(t, "after it", w.living(), "1 ready, 2 ready")
		w.set(func(a *actor) {
			if a.number == 6 {
				a.failAccept = errors.New("no watches")
			}
		})
		if _, err := w.reload("three", "children = 2\nworkers = 5"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		expect(t, "with one that was replaced", w.living(), "5 ready, 7 ready")
		for _, n := range []int{5, 7} {
			if a := w.child(n); !a.serving() || a.text() != "three" {
				t.Errorf("child %d accepts: %v; it serves %s", n, a.serving(), a.text())
			}
		}
	})
}

// TestManyRetiring: children that do not finish are not heaped up by reloads.
func TestManyRetiring(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func(a *actor) { a.busy = true })
		w.begin("children = 16")
		for n := 1; n <= 4; n++ {
			if _, err := w.reload("more", fmt.Sprintf("children = 16\nworkers = %d\nshutdown_timeout = \"20s\"", 4+n)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		_, err := w.reload("too much", "children = 1")
		if err == nil || err.Error() != "64 children of generations before have not finished yet; try again later" {
			t.Errorf("it says %v", err)
		}
		w.child(80).parent.Full()
		synctest.Wait()
		if n := w.count(); n != 80 || !strings.Contains(w.log.String(), "goes on: too many retire already") {
			t.Errorf("there were %d children; the log says %s", n, w.log.String())
		}
		time.Sleep(20*time.Second + KillTime)
		if _, err := w.reload("later", "children = 1"); err != nil {
			t.Error(err)
		}
	})
}

// TestP3Full: a child that is full goes on until another serves, and retires then.
func TestP3Full(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("")
		w.child(1).busy = true
		w.set(func(a *actor) { a.failStart = errors.New("no") })
		w.child(1).parent.Full()
		synctest.Wait()
		expect(t, "where no other starts", w.living()+", "+w.child(1).did(), "1 ready, start one")
		w.set(nil)
		time.Sleep(MaxBackoff) // it is tried again
		synctest.Wait()
		expect(t, "when another serves", w.living()+", "+w.child(1).did(), "1 retiring, 3 ready, start one, retire false")
		close(w.child(1).release)
		synctest.Wait()
		expect(t, "at the end", w.living(), "3 ready")
		if n := w.control.Numbers(); n.Restarts[Full] != 1 || n.Restarts[Died] != 0 {
			t.Errorf("the numbers are %+v", n)
		}
	})
}

// TestP5Stop: children finish what they have; a deadline, and impatience, cut it off; one that does not end is killed.
func TestP5Stop(t *testing.T) {
	for _, c := range []struct {
		name      string
		busy, bad bool
		impatient time.Duration // 0: never
		took      time.Duration
		ok        bool
	}{
		{"idle", false, false, 0, 0, true},
		{"busy", true, false, 0, 10 * time.Second, false},
		{"a second signal", true, false, time.Second, time.Second, false},
		{"a child that hangs", true, true, 0, 10*time.Second + KillTime, false},
		{"a second signal for it", true, true, time.Second, time.Second + KillTime, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.begin("children = 2")
				w.child(2).busy = c.busy
				if c.bad {
					w.child(2).link.Close() // it hears nothing, and is there
					synctest.Wait()
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if c.impatient > 0 {
					time.AfterFunc(c.impatient, cancel)
				}
				began := time.Now()
				err := w.control.Stop(ctx, 10*time.Second)
				if (err == nil) != c.ok {
					t.Errorf("it says %v", err)
				}
				if took := time.Since(began); took != c.took && !c.bad || took > c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if err := w.control.Ready(); err == nil {
					t.Error("it is ready all the same")
				}
				expect(t, "left", w.living()+w.sockets(), "")
				expect(t, "the first child", w.child(1).did(), "start one, retire true")
				if w.byes[1] != "bye 1" {
					t.Errorf("the last numbers are %v", w.byes)
				}
			})
		})
	}
}

// TestDrain: children retire however long that takes and are not replaced; a stop ends it.
func TestDrain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("children = 2")
		w.child(1).busy = true
		w.control.Drain()
		synctest.Wait()
		expect(t, "draining", w.living()+w.sockets(), "1 retiring")
		if err := w.control.Ready(); err == nil || err.Error() != "draining" {
			t.Errorf("readiness says %v", err)
		}
		time.Sleep(time.Hour)
		expect(t, "an hour later", w.living(), "1 retiring")
		if _, err := w.reload("two", ""); err == nil {
			t.Error("a reload while draining is done")
		}
		close(w.child(1).release)
		synctest.Wait()
		expect(t, "at the end", w.living(), "")
	})
}

// TestAsk: one child that does not answer is left out, in time.
func TestAsk(t *testing.T) {
	inWorld(t, func(w *world) {
		w.begin("children = 3")
		w.child(2).deaf = true
		began := time.Now()
		answers := w.control.Ask("status", []byte("x"))
		if took := time.Since(began); took != AskTime {
			t.Errorf("it took %v", took)
		}
		if len(answers) != 3 || answers[1].Err == nil || string(answers[2].Body) != "status of 3: x" {
			t.Errorf("the answers are %+v", answers)
		}
		if err := w.control.Reopen(); err != nil {
			t.Error(err)
		}
		expect(t, "a child", w.child(3).did(), "start one, reopen")
	})
}

// TestBroker: children are given the files that their configuration names, or the one that they prepare, and no others.
func TestBroker(t *testing.T) {
	inWorld(t, func(w *world) {
		text, cfg := parsed(t, "one", "[log]\naccess = \"/a/access.log\"\n[certificates.a]\ncertificate = \"/a/cert\"\nkey = \"/a/key\"\n")
		if _, err := w.control.Begin(text, cfg); err != nil {
			t.Fatal(err)
		}
		try := func(path string) string {
			_, err := w.child(1).parent.Open(path)
			return err.Error()
		}
		for path, want := range map[string]string{
			"/a/key": "file does not exist", "/a/access.log": "file does not exist", "/etc/shadow": "/etc/shadow: the configuration does not name it",
			"": ": the configuration does not name it", "/a/next": "/a/next: the configuration does not name it",
		} {
			expect(t, path, try(path), want)
		}
		w.child(1).onPrepare = func() { expect(t, "while it is prepared", try("/a/next"), "file does not exist") }
		text, cfg = parsed(t, "two", "[log]\naccess = \"/a/next\"\n")
		if _, err := w.control.Reload(text, cfg); err != nil {
			t.Fatal(err)
		}
		expect(t, "of the one before", try("/a/key"), "/a/key: the configuration does not name it")
		if opened := strings.Join(w.opened, ", "); !strings.Contains(opened, "/a/key false") || !strings.Contains(opened, "/a/next true") {
			t.Errorf("opened were %s", opened)
		}
	})
}

// TestSameProcess: the keys that begin a generation, and some that do not.
func TestSameProcess(t *testing.T) {
	_, one := parsed(t, "", "")
	for server, same := range map[string]bool{
		"": true, "timeout = \"3s\"": true, "pid_file = \"x\"": true, "shutdown_timeout = \"3s\"": true, "watch = false": true,
		"children = 2": false, "pollers = 1": false, "workers = 5": false, "max_connections_per_child = 1": false, "user = \"a\"": false,
		"group = \"a\"": false, "sandbox = \"off\"": false, "cache = \"off\"": false, "[limits]\nconnections = 7": false, "[limits]\nuri_bytes = \"777B\"": true,
	} {
		if _, two := parsed(t, "", server); SameProcess(one, two) != same {
			t.Errorf("%q: %v", server, !same)
		}
	}
	_, a := parsed(t, "", "", "127.0.0.1:1", "127.0.0.1:2")
	_, b := parsed(t, "", "", "127.0.0.1:2", "127.0.0.1:1")
	if !SameProcess(a, b) || SameProcess(a, one) {
		t.Error("addresses are compared in their order, or not at all")
	}
}

// TestOrphan: a child whose control process is gone finishes what it has, for as long as it may, and ends.
func TestOrphan(t *testing.T) {
	for name, c := range map[string]struct {
		busy bool
		took time.Duration
		how  string
	}{"idle": {false, 0, Ended}, "busy": {true, time.Second, "ended with status 3"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, link, _ := w.spawn(&Spawn{Number: 1})
				w.child(1).busy = c.busy
				if err := link.Send(&Message{Kind: StartKind, Start: &Start{}}); err != nil {
					t.Fatal(err)
				}
				if m, err := link.Receive(); err != nil || m.Kind != ReadyKind {
					t.Fatal(m, err)
				}
				began := time.Now()
				link.Close()
				if how := p.Wait(); how != c.how || time.Since(began) != c.took {
					t.Errorf("it %s after %v", how, time.Since(began))
				}
				expect(t, "it", w.child(1).did(), "start , retire true")
			})
		})
	}
}
