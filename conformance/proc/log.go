package proc

import (
	"strings"
	"sync"
	"time"
)

// LogLimit is the number of bytes a Log keeps of a child's output; what comes after is counted, not kept.
const LogLimit = 32 << 20

// Log collects a child's output. It may be used from several goroutines.
type Log struct {
	mu      sync.Mutex
	text    []byte
	dropped int
	grew    chan struct{} // closed and replaced at every write
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{grew: make(chan struct{})} }

// Write appends p. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := max(0, min(len(p), LogLimit-len(l.text)))
	l.text = append(l.text, p[:room]...)
	l.dropped += len(p) - room
	close(l.grew)
	l.grew = make(chan struct{})
	return len(p), nil
}

// String is what has been written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Lines is what has been written so far, by lines, without a last unfinished one.
func (l *Log) Lines() []string {
	lines := strings.Split(l.String(), "\n")
	return lines[:len(lines)-1]
}

// Tail is the last n bytes.
func (l *Log) Tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

// WaitFor waits until ok holds for what has been written, and says whether it did within limit.
func (l *Log) WaitFor(ok func(text string) bool, limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		text, grew := string(l.text), l.grew
		l.mu.Unlock()
		if ok(text) {
			return true
		}
		select {
		case <-grew:
		case <-deadline.C:
			return false
		}
	}
}
