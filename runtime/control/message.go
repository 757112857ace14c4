package control

import (
	"os"
	"syscall"
	"time"

	"edge/runtime/config"
)

// Kind says what a message is about.
type Kind string

// What the control process says to a child.
const (
	StartKind   Kind = "start"   // Start: make this ready to serve; the answer is Ready or Failed
	AcceptKind  Kind = "accept"  // ID: accept connections; the answer is Done, with Error where it cannot
	PrepareKind Kind = "prepare" // ID, Text: make this configuration beside the one that serves; the answer is Prepared
	CommitKind  Kind = "commit"  // ID: have what was prepared serve; the answer is Done. It cannot fail
	AbandonKind Kind = "abandon" // ID: give it up; no answer
	ReopenKind  Kind = "reopen"  // ID: open the logs anew; the answer is Done, with Error where they could not be
	RetireKind  Kind = "retire"  // Within: accept nothing more, let idle clients ask once more, end when all have gone
	StopKind    Kind = "stop"    // Within: accept nothing more, end idle connections, end when the others have finished
	NowKind     Kind = "now"     // end what is left at once
	AskKind     Kind = "ask"     // ID, What, body: Worker.Ask; the answer is Answer with a body
	OpenedKind  Kind = "opened"  // ID: the answer to Open: a file, or Error
)

// What a child says to the control process.
const (
	ReadyKind    Kind = "ready"    // it can accept connections; Warnings are those of what it has started
	FailedKind   Kind = "failed"   // Problems, or Error: why it does not; it ends after it
	PreparedKind Kind = "prepared" // ID, Warnings; Problems or Error where it cannot be used
	DoneKind     Kind = "done"     // ID
	AnswerKind   Kind = "answer"   // ID, body
	FullKind     Kind = "full"     // it has accepted as many connections as it should (P3)
	OpenKind     Kind = "open"     // ID, What: a path of the configuration that the control process is to open
	ByeKind      Kind = "bye"      // body: its last numbers; it ends after it
)

// Message is one message between the control process and a child. Which fields count depends on the kind.
type Message struct {
	Kind Kind   `json:"kind"`
	ID   uint64 `json:"id,omitempty"` // ties an answer to what was asked; the asker counts

	Start    *Start          `json:"start,omitempty"`
	Text     *Text           `json:"text,omitempty"`
	Within   time.Duration   `json:"within,omitempty"` // Unbounded: however long it takes
	What     string          `json:"what,omitempty"`
	Error    string          `json:"error,omitempty"`
	Errno    syscall.Errno   `json:"errno,omitempty"` // of Error, where it is one of the system
	Problems config.Problems `json:"problems,omitempty"`
	Warnings config.Problems `json:"warnings,omitempty"`

	Body  []byte     `json:"-"` // at most MaxBody bytes
	Files []*os.File `json:"-"` // at most MaxFiles. The sender keeps its own; those that were received are the receiver's to close
}

// Start is what a child begins with.
type Start struct {
	Number     int      // of the child: counts up for ever, also over generations (P9)
	Generation int      // the one it belongs to
	Text       Text     // what it serves
	Files      []string // the names of the descriptors that it has inherited, from FirstFile on; see Parent.Inherited
	Secret     []byte   // opaque: what all children have in common, such as the seed of session tickets
	Cache      string   // the directory for compiled modules; "" is none
	User       string   // whose rights it has, as the configuration names them; "" where it has those of the control process
	Group      string
	Workers    int // the cells of its board
}

// Unbounded stands for no bound where a time is given.
const Unbounded time.Duration = -1

// Text is the text of a configuration: read once, so that all children have the same.
type Text struct {
	File string // its name, as the command line had it
	Data []byte
}
