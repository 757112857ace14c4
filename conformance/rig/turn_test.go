package rig

import (
	"sync/atomic"
	"testing"
)

// TestTurns: of two suites that may not run at a time the second begins when the first has ended.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	first, err := takeTurn(dir, 1)
	Must(t, err)
	var over atomic.Bool
	second := make(chan error, 1)
	go func() {
		done, err := takeTurn(dir, 1)
		if err == nil {
			if !over.Load() {
				t.Error("two suites run at a time")
			}
			done()
		}
		second <- err
	}()
	both, err := takeTurn(dir, 2)
	Must(t, err)
	both()
	over.Store(true)
	first()
	Must(t, <-second)
}
