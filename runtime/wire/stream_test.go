package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edge/mpm"
)

// handler gives each turn of the only connection to a test.
type handler struct {
	serve func(c *mpm.Conn, t *mpm.Turn) mpm.Verdict
	plain Stream
}

func (h *handler) NewWorker(int) any { return nil }

func (h *handler) Serve(c *mpm.Conn, t *mpm.Turn, _ mpm.Events) mpm.Verdict {
	c.State = h
	return h.serve(c, t)
}

func (h *handler) Flush(c *mpm.Conn, _ *mpm.Turn) (bool, error) { return h.plain.Flush(c) }

func (h *handler) Close(*mpm.Conn, *mpm.Turn, mpm.Cause) bool { return true }

// dial runs an engine with the handler and connects to it.
func dial(t *testing.T, h *handler) *net.TCPConn {
	t.Helper()
	fd, err := mpm.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 8<<10) // inherited: output soon waits
	e, err := mpm.New(mpm.Options{Workers: 4, Times: mpm.Times{Linger: time.Second}}, []mpm.Listener{{FD: fd, Handler: h}})
	if err != nil {
		t.Fatal(err)
	}
	addr := mpm.LocalAddr(fd)
	e.Start()
	if err := e.Accept(); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// TestLeftOver: what is not consumed stands in front of what comes next, wherever its memory is, and memory goes when all is consumed.
func TestLeftOver(t *testing.T) {
	const text = "the quick brown fox jumps over the lazy dog"
	var got []byte
	take := 1
	h := &handler{}
	h.serve = func(c *mpm.Conn, turn *mpm.Turn) mpm.Verdict {
		data, err := h.plain.Read(c, turn.In)
		if err == io.EOF {
			got = append(got, data...)
			h.plain.Keep(nil)
			if h.plain.Unread() != nil {
				t.Error("memory is kept for nothing")
			}
			h.plain.Send(c, got, nil)
			return mpm.Finish()
		}
		if err == nil { // consume a little of it, and spoil the scratch buffer
			n := min(take, len(data))
			got = append(got, data[:n]...)
			take++
			h.plain.Keep(data[n:])
			clear(turn.In)
		}
		return mpm.Wait(mpm.In, 0, mpm.PhaseReading)
	}
	c := dial(t, h)
	for _, b := range []byte(text) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	c.CloseWrite()
	if back, err := io.ReadAll(c); err != nil || string(back) != text {
		t.Errorf("came back: %q, %v", back, err)
	}
}

// TestPendingStaysSmall: output that a slow client never quite drains is kept in memory of the size of what is pending, not of all that
// has passed.
func TestPendingStaysSmall(t *testing.T) {
	const high, total = 64 << 10, 2 << 20
	piece := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	made := 0
	var largest atomic.Int64
	h := &handler{}
	h.serve = func(c *mpm.Conn, turn *mpm.Turn) mpm.Verdict {
		c.Read(turn.In) // what lies unread when a socket is closed resets it
		h.plain.Flush(c)
		for made < total && h.plain.Pending() < high {
			h.plain.Send(c, piece[:100], piece[100:])
			made += len(piece)
		}
		largest.Store(max(largest.Load(), int64(cap(h.plain.out))))
		if made < total || h.plain.Pending() > 0 {
			return mpm.Wait(mpm.Out, 0, mpm.PhaseWriting)
		}
		return mpm.Finish()
	}
	c := dial(t, h)
	c.Write([]byte("go"))
	n, err := io.Copy(io.Discard, c)
	if err != nil || n != total {
		t.Fatalf("%d bytes came, %v", n, err)
	}
	if got := largest.Load(); got > 4*high {
		t.Errorf("%d bytes of memory for at most %d pending", got, high+len(piece))
	}
}

// TestSendAfterError: when the client is gone output is dropped and Flush tells; nothing piles up.
func TestSendAfterError(t *testing.T) {
	gone := make(chan struct{})
	told := make(chan error, 1)
	h := &handler{}
	piece := make([]byte, 64<<10)
	h.serve = func(c *mpm.Conn, turn *mpm.Turn) mpm.Verdict {
		<-gone
		for range 1000 {
			if h.plain.Send(c, piece, nil); h.plain.Failed() {
				break
			}
			if !c.Writable() {
				return mpm.Wait(mpm.Out, 0, mpm.PhaseWriting)
			}
		}
		h.plain.Send(c, piece, piece)
		_, err := h.plain.Flush(c)
		if h.plain.Pending() != 0 {
			t.Error("output piles up for nobody")
		}
		told <- err
		return mpm.Close()
	}
	c := dial(t, h)
	c.Write([]byte("go"))
	c.SetLinger(0)
	c.Close()
	close(gone)
	select {
	case err := <-told:
		if err == nil {
			t.Error("flush does not tell")
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing was told")
	}
}
