// Package upgrade has one control process take another's place, so that a new binary serves and no connection is refused. The old one
// starts the new one with its listening sockets, and goes on serving until the new one serves too:
//
//	old                                    new
//	 │ starts it with its sockets           │
//	 │ ◄──────────────────────────── greet ─┤ it is edge
//	 │                                      │ reads its configuration, starts its children: both serve now
//	 │ ◄──────────────────── ready, failed ─┤
//	 ├─ take ─────────────────────────────► │
//	 │                                      │ pid file, admin server
//	 │ ◄──────────────────────────── taken ─┤
//	 │ tells the service manager            │
//	 ├─ named ────────────────────────────► │ speaks to the service manager itself
//	 │ its children retire                  │
//	 │ ◄───────────────────────────── stop ─┤ only where it has to stop before the old one has ended
//	 ├─ ended ────────────────────────────► │
//	 └ ends                                 │
//
// Until taken the old one can go on as if nothing had been: it says quit to the new one, whose connections are finished as in any stop. The
// place of an old one that dies on the way is taken without its word.
package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Bounds of waiting.
const (
	GreetTime = 10 * time.Second // from the start of the new process until it says that it is edge
	ReadyTime = 6 * time.Minute  // from then until it serves: compiling guests may take long
	TakeTime  = 10 * time.Second // for the pid file and the admin server to change hands
	EndTime   = 5 * time.Second  // for a new process that was given up to end, before it is killed
	sendTime  = 5 * time.Second  // for a message to be taken
)

// maxMessage is the size in bytes of the longest message: problems, as many as a configuration can have.
const maxMessage = 4 << 20

// File is a descriptor with the name that the other process knows it by.
type File struct {
	Name string
	FD   int
}

// State is what the new process goes on with.
type State struct {
	Number     int            `json:"number"`     // of the last child, plus some: those of the new one have other numbers (P9)
	Generation int            `json:"generation"` // the last
	Secret     []byte         `json:"secret"`     // what children have in common: sessions can be resumed
	Upgrades   map[string]int `json:"upgrades"`   // so far, by result
}

// kind says what a message is about.
type kind string

const (
	greetKind  kind = "greet"
	readyKind  kind = "ready"
	failedKind kind = "failed"
	takeKind   kind = "take"
	takenKind  kind = "taken"
	namedKind  kind = "named"
	quitKind   kind = "quit"
	stopKind   kind = "stop"
	endedKind  kind = "ended"
)

type message struct {
	Kind     kind          `json:"kind"`
	Version  string        `json:"version,omitempty"`  // greet
	Problems []string      `json:"problems,omitempty"` // failed
	State    *State        `json:"state,omitempty"`    // the answer to greet
	Within   time.Duration `json:"within,omitempty"`   // stop
	Finished bool          `json:"finished,omitempty"` // ended
}

// talk is one end. One goroutine sends, one hears.
type talk struct {
	conn net.Conn
	in   *json.Decoder
}

func newTalk(f *os.File) (*talk, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return &talk{conn: c, in: json.NewDecoder(&io.LimitedReader{R: c, N: maxMessage})}, nil
}

func (t *talk) say(m message) error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	return json.NewEncoder(t.conn).Encode(m)
}

// errGone says that the other process has ended.
var errGone = errors.New("it has ended")

// hear waits for one of the kinds, for at most limit; 0 is without a bound.
func (t *talk) hear(limit time.Duration, kinds ...kind) (*message, error) {
	end := time.Time{}
	if limit > 0 {
		end = time.Now().Add(limit)
	}
	if err := t.conn.SetReadDeadline(end); err != nil {
		return nil, err
	}
	m := new(message)
	switch err := t.in.Decode(m); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, err
	case err != nil:
		return nil, errGone
	}
	for _, k := range kinds {
		if m.Kind == k {
			return m, nil
		}
	}
	return nil, fmt.Errorf("it says %q out of turn", m.Kind)
}
