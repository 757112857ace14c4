package mpm

import "time"

// Times bound what clients are waited for by the engine itself. Zero values mean the defaults.
type Times struct {
	FirstByte    time.Duration // longest silence of a new connection; 15 s
	WriteTimeout time.Duration // longest time write completion may go without progress; 60 s
	Linger       time.Duration // C7, an absolute cap
}

func (t *Times) fill() {
	if t.FirstByte <= 0 {
		t.FirstByte = 15 * time.Second
	}
	if t.WriteTimeout <= 0 {
		t.WriteTimeout = 60 * time.Second
	}
	if t.Linger <= 0 {
		t.Linger = DefaultLinger
	}
}

// SetTimes has waits that begin from now on take other times. Those that have begun stay as they are. Any goroutine may call it.
func (e *Engine) SetTimes(t Times) {
	t.fill()
	e.times.Store(&t)
}
