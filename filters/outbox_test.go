package filters

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// TestOutbox: what is sent comes out whole and in order, in pieces of any size; and what may not be sent is refused.
func TestOutbox(t *testing.T) {
	for most := 1; most < 40; most += 7 {
		o, wakes := new(Outbox), 0
		o.Attach(func() { wakes++ })
		var want, got []byte
		for k := range 10 {
			m := bytes.Repeat([]byte{byte(k)}, 3*k)
			want = AppendMessage(want, m)
			if err := o.Send(m, k == 9); err != nil {
				t.Fatal(err)
			}
			if k == 9 {
				break
			}
			if p, end := o.Take(nil, most); end {
				t.Fatal("the end came too early")
			} else {
				got = append(got, p...)
			}
		}
		for end := false; !end; {
			got, end = o.Take(got, most)
		}
		if !bytes.Equal(got, want) || wakes != 10 {
			t.Errorf("%d at a time: %d wakes, %q", most, wakes, got)
		}
	}
}

// TestOutboxBounds: R71, W98: what a filter sends is bounded, and a message of the greatest length finds room in an empty box.
func TestOutboxBounds(t *testing.T) {
	large := make([]byte, MaxMessage)
	o := new(Outbox)
	if err := o.Send(append(large, 0), false); !errors.Is(err, ErrOutbox) {
		t.Errorf("a message that is too long: %v", err)
	}
	if err := o.Send(large, false); err != nil {
		t.Errorf("a large message: %v", err)
	}
	if err := o.Send(nil, false); !errors.Is(err, ErrOutbox) {
		t.Errorf("a message more: %v", err)
	}
	o.Take(nil, 2*MessagePrefix)
	if err := o.Send(nil, true); err != nil {
		t.Errorf("once there is room: %v", err)
	}
	if err := o.Send(nil, false); !errors.Is(err, ErrCallEnded) {
		t.Errorf("behind the end: %v", err)
	}
	if p, end := o.Take(nil, 2*MaxOutbox); len(p) != MaxOutbox-MessagePrefix || !end {
		t.Errorf("%d bytes, end %v", len(p), end)
	}
	for name, end := range map[string]func(*Outbox){"cancelled": (*Outbox).Cancel, "ended": (*Outbox).End, "closed": (*Outbox).Close} {
		o := new(Outbox)
		o.Send([]byte("a"), false)
		c := o.Clone()
		end(o)
		if err := o.Send(nil, false); !errors.Is(err, ErrCallEnded) || o.Cancelled() != (name == "cancelled") {
			t.Errorf("%s: %v", name, err)
		}
		if p, ended := c.Take(nil, 9); len(p) != 6 || ended {
			t.Errorf("the clone of one that was %s later: %q", name, p)
		}
	}
}

// TestOutboxRace has both ends at work at once.
func TestOutboxRace(t *testing.T) {
	o := new(Outbox)
	var wait sync.WaitGroup
	turn := make(chan struct{}, 1)
	o.Attach(func() {
		select {
		case turn <- struct{}{}:
		default:
		}
	})
	const n = 10000
	wait.Go(func() {
		for k := 0; k < n; {
			if o.Send(fmt.Append(nil, k), k == n-1) == nil {
				k++
			}
		}
	})
	var got []byte
	for end := false; !end; {
		<-turn
		for before := -1; before != len(got) && !end; {
			before = len(got)
			got, end = o.Take(got, 100)
		}
	}
	wait.Wait()
	for k := range n {
		want := AppendMessage(nil, fmt.Append(nil, k))
		if !bytes.HasPrefix(got, want) {
			t.Fatalf("message %d: %q", k, got[:min(20, len(got))])
		}
		got = got[len(want):]
	}
}

// TestCallParts: while the lane is busy one part is kept, and none after it is to be brought; the call counts until its last.
func TestCallParts(t *testing.T) {
	good := &Call{Kind: GRPCStream, Outbox: new(Outbox), Upstream: "app", Method: "POST", Authority: "b", Target: "/"}
	var x Exchange
	var got []string
	busy := false
	f := &script{wants: OnRequestHead,
		head: func(s *scripted, _ Direction, _ bool) Action {
			x = s.x
			bad := *good
			if bad.Outbox = nil; !errors.Is(bad.Check(), ErrBadCall) {
				t.Error("a call of gRPC without an outbox is good")
			}
			if _, err := x.Call(good); err != nil {
				t.Error(err)
			}
			return Pause
		},
		call: func(s *scripted, id uint32, a *CallAnswer) Action {
			if busy {
				return Wait
			}
			got = append(got, fmt.Sprint(a.Part, a.Status, a.Text, string(a.Body)))
			return Continue
		}}
	w := &world{t: t}
	w.begin("GET", 0, f)
	w.RequestHead(true)
	w.CallDone(0, 1, &CallAnswer{Part: Initial})
	if busy = true; w.Holds(0) {
		t.Error("a part that was taken is kept")
	}
	w.CallDone(0, 1, &CallAnswer{Part: Message, Body: []byte("a")})
	if busy = false; !w.Holds(0) || x.(*link).calls.Load() != 1 {
		t.Error("a part that was not taken is not kept")
	}
	x.Wake()
	w.Run()
	if w.Holds(0) {
		t.Error("a part is kept that was taken later")
	}
	w.CallDone(0, 1, &CallAnswer{Part: Closed, Status: 5, Text: "no"})
	want := []string{fmt.Sprint(Initial, 0, "", ""), fmt.Sprint(Message, 0, "", "a"), fmt.Sprint(Closed, 5, "no", "")}
	if !slices.Equal(got, want) || x.(*link).calls.Load() != 0 {
		t.Errorf("%q, %d calls are left", got, x.(*link).calls.Load())
	}
	w.End()
}
