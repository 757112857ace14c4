package control

import (
	"context"
	"os"
	"time"

	"edge/runtime/config"
)

// Worker is what a child does. [Serve] calls its methods as messages come: Start first, then the others, Prepare and Commit one after the
// other, Ask, Reopen and Retire from goroutines of their own.
type Worker interface {
	// Start makes everything ready to serve. Its error, a config.Problems where the configuration is to blame, ends the child.
	Start(s *Start, p Parent) (warnings config.Problems, err error)

	// Accept begins to accept connections: once, after Start.
	Accept() error

	// Prepare makes everything of a configuration that can fail, beside what serves. One of commit and abandon is called later.
	Prepare(t *Text) (p Prepared, err error)

	// Ask returns what the control process wants to know; what is "status" or "metrics", or another word that Control.Ask was given.
	Ask(what string, body []byte) ([]byte, error)

	// Reopen opens the logs anew.
	Reopen() error

	// Retire ends the child's work: it accepts nothing more and returns when all connections have gone, or ctx is over; then what is left
	// has been cut off, and the error is that of ctx. With shed, idle connections end at once; else they may ask once more, and are told
	// that it is the last time. It may be called again with shed while the first call runs.
	Retire(ctx context.Context, shed bool) error

	// Patience is how long Retire may take where the control process cannot say: it is gone.
	Patience() time.Duration

	// Close ends everything, after Retire, and returns the last numbers for Options.Bye.
	Close() []byte
}

// Prepared is a configuration that is ready to serve. Warnings are those of what the child has looked at.
type Prepared struct {
	Warnings config.Problems
	Commit   func()
	Abandon  func()
}

// Parent is how a worker speaks to the control process.
type Parent interface {
	// Open has the control process open a file that the configuration names: one of certificates for reading, that of the access log for
	// appending. It may be called from any goroutine, and waits at most OpenTime.
	Open(path string) (*os.File, error)

	// Full says that the child has accepted as many connections as it should (P3). It goes on until another child has taken its
	// place; then follows a call of Retire.
	Full()

	// Inherited is a descriptor that the child was started with, by its name in Spawn.Files: BoardFile, or that of a listening socket,
	// which is its address as the configuration writes it. -1: there is none. It is the caller's, once.
	Inherited(name string) int
}

// Bounds of waiting.
const (
	OpenTime    = 10 * time.Second // for a file that the control process opens
	StartTime   = 5 * time.Minute  // from a child's start to Ready: compiling guests may take long
	PrepareTime = 5 * time.Minute  // for Prepared
	CommitTime  = 30 * time.Second // for Done
	AskTime     = 5 * time.Second  // for Answer
	SendTime    = 5 * time.Second  // for a message to be taken; who does not take it is stuck
)
