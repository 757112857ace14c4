package control

import (
	"context"
	"os"
	"testing"
	"time"

	"edge/runtime/config"
)

// opener is a worker that wants a file while it is closed, as one does whose certificates are just looked at.
type opener struct {
	real
	parent Parent
	got    error
}

func (o *opener) Start(_ *Start, p Parent) (config.Problems, error) {
	o.parent = p
	return nil, nil
}

func (o *opener) Retire(context.Context, bool) error { return nil }

func (o *opener) Close() []byte {
	f, err := o.parent.Open("main.pem")
	if o.got = err; err == nil {
		f.Close()
	}
	return []byte("bye")
}

// TestOpenWhileClosing: a worker that is closed gets the files it asks for, or hears at once that nobody is there to open them.
func TestOpenWhileClosing(t *testing.T) {
	for _, forsaken := range []bool{false, true} {
		parent, link := newPipe()
		o, code := new(opener), make(chan int, 1)
		go func() { code <- Serve(link, o, nil) }()
		next := func(kind Kind) *Message {
			t.Helper()
			m, err := parent.Receive()
			if err != nil || m.Kind != kind {
				t.Fatalf("%+v, %v; want %v", m, err, kind)
			}
			return m
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(parent.Send(&Message{Kind: StartKind, Start: new(Start)}))
		next(ReadyKind)
		must(parent.Send(&Message{Kind: RetireKind, Within: Unbounded}))
		m := next(OpenKind)
		began := time.Now()
		if forsaken {
			parent.Close()
		} else {
			must(parent.Send(&Message{Kind: AskKind, ID: 7, What: "status"})) // which nobody answers any more
			f, err := os.Open(os.DevNull)
			must(err)
			must(parent.Send(&Message{Kind: OpenedKind, ID: m.ID, Files: []*os.File{f}}))
			if bye := next(ByeKind); string(bye.Body) != "bye" {
				t.Errorf("the last numbers are %q", bye.Body)
			}
		}
		if got := <-code; got != ExitOK {
			t.Errorf("exit status %d", got)
		}
		if (o.got != nil) != forsaken {
			t.Errorf("the file: %v", o.got)
		}
		if took := time.Since(began); took > OpenTime/2 {
			t.Errorf("it took %v", took)
		}
	}
}
