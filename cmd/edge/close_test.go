package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/server"
)

// pipeBytes is what a pipe holds at most, unless somebody asks for more.
const pipeBytes = 64 << 10

// TestCloseP7: a module that is being compiled when edge stops takes nothing from the time that logs have: all lines are written before
// close returns.
func TestCloseP7(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{units: server.NewUnits()}
	p.reloads.stop, p.reloads.ended = make(chan struct{}), make(chan struct{}) // which is never closed: the compiler is at work
	if p.access, err = accesslog.Open(path, accesslog.Limits{}); err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte("x"), 1<<10-1), '\n')
	const lines = 256 // more than a pipe holds
	for range lines {
		p.access.Write(line)
	}
	const all = lines << 10
	const piece = 4 << 10 // of one read, which is not counted at once
	var got atomic.Int64
	read := make(chan struct{})
	go func() {
		defer close(read)
		time.Sleep(closeTime + closeTime/4) // a disk that is slow, and begins when the swap has been given up
		for buf := make([]byte, piece); got.Load() < all; {
			n, err := reader.Read(buf)
			if got.Add(int64(n)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	p.close(context.Background())
	if n := got.Load(); n < all-pipeBytes-piece {
		t.Errorf("close returns when %d bytes of %d are written", n, all)
	}
	<-read
	reader.Close()
}
