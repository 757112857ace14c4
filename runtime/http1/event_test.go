package http1

import (
	"strings"
	"testing"

	"edge/filters/message"
)

// TestErrors checks what logs and metrics rely on: every fault has a reason, no two have the same, and an upstream's
// faults are all 502.
func TestErrors(t *testing.T) {
	seen := map[string]fault{}
	for f := ok + 1; f < faultCount; f++ {
		err := responseError(f)
		if err == nil || err.Status != 502 || err.Error() == "" || err.Error() != strings.ToLower(err.Reason) {
			t.Errorf("fault %d: %+v", f, err)
		}
		if other, twice := seen[err.Reason]; twice {
			t.Errorf("faults %d and %d are both %q", f, other, err.Reason)
		}
		seen[err.Reason] = f
		if f < faultStatusLine {
			if err := requestError(f); err.Status < 400 || err.Reason == "" {
				t.Errorf("fault %d of a request: %+v", f, err)
			}
		}
	}
	if requestError(ok) != nil || responseError(ok) != nil {
		t.Error("an error without a fault")
	}
}

func TestNames(t *testing.T) {
	for ev, want := range map[Event]string{More: "more", Head: "head", Data: "data", End: "end", Interim: "interim", 9: "unknown"} {
		if ev.String() != want {
			t.Errorf("event %d is %q", ev, ev)
		}
	}
	if Reason(404) != "Not Found" || Reason(299) != "" {
		t.Errorf("reasons %q, %q", Reason(404), Reason(299))
	}
}

// TestResponseProgress is what a retry (U88) and a pool (U83) are decided by.
func TestResponseProgress(t *testing.T) {
	var r ResponseReader
	var resp message.Response
	r.Reset(&DefaultLimits, "GET")
	feed := func(in string) {
		t.Helper()
		if _, _, err := r.Feed([]byte(in), &resp); err != nil {
			t.Fatal(err)
		}
	}
	if r.Started() {
		t.Error("U88 started without a byte")
	}
	feed("H")
	if !r.Started() || r.Unread() != -1 {
		t.Error("U88 not started after a byte")
	}
	feed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
	feed("a")
	if r.Unread() != 2 || r.Done() || !r.KeepAlive() {
		t.Errorf("U83 unread %d", r.Unread())
	}
	if ev, err := r.EOF(&resp); ev != More || err == nil || r.Unread() != -1 || r.KeepAlive() {
		t.Errorf("U82 closed early: %v %v", ev, err)
	}
	if ev, err := r.EOF(&resp); ev != More || err == nil {
		t.Errorf("U82 closed twice: %v %v", ev, err)
	}
}

// TestBufferBytes checks that a caller's buffer of that size always holds what More leaves: the largest head that
// passes, but for its last byte.
func TestBufferBytes(t *testing.T) {
	limits := Limits{TargetBytes: 10, HeaderBytes: 30, HeaderCount: 3, BodyBytes: -1}
	in := strings.Repeat("M", 32) + " /234567890 HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 14) + "\r\n\r\n"
	var r RequestReader
	var req message.Request
	r.Reset(&limits)
	n, ev, err := r.Feed([]byte(in), &req)
	if ev != Head || err != nil || n != len(in) {
		t.Fatalf("%d %v %v", n, ev, err)
	}
	if len(in) > limits.BufferBytes() {
		t.Errorf("a head of %d bytes passes, the buffer holds %d", len(in), limits.BufferBytes())
	}
	r.Reset(&limits)
	if _, _, err := r.Feed([]byte(strings.Replace(in, "a", "aa", 1)), &req); err == nil || err.Status != 431 {
		t.Errorf("one byte more: %v", err)
	}
}
