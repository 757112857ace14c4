package upgrade

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Predecessor is the old process, as the new one has it. Stop may be called from any goroutine, the other methods from one. Those of the nil Predecessor, which
// is there where nobody's place is taken, do nothing.
type Predecessor struct {
	Files []File // listening sockets; the receiver closes them
	State State

	talk  *talk
	ready atomic.Bool   // Ready has been called
	taken atomic.Bool   // Taken has returned
	gone  chan struct{} // closed when it has ended, after taken

	finished bool // everything it had; written before gone is closed
}

// Inherit says whether this process is to take another's place: nil where it is not. It says to the other one that it is edge, and of
// which version.
func Inherit(version string) (*Predecessor, error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(variable)
	names := strings.Split(text, "\n")
	if n, err := strconv.Atoi(names[0]); err != nil || n != len(names)-1 {
		return nil, fmt.Errorf("%s is %q: only edge sets it", variable, text)
	}
	unix.CloseOnExec(talkFile)
	t, err := newTalk(os.NewFile(talkFile, "old"))
	if err != nil {
		return nil, fmt.Errorf("%s is set, and there is no edge whose place is to be taken: %w", variable, err)
	}
	p := &Predecessor{talk: t, gone: make(chan struct{})}
	for i, name := range names[1:] {
		unix.CloseOnExec(firstFile + i)
		p.Files = append(p.Files, File{name, firstFile + i})
	}
	if err := t.say(message{Kind: greetKind, Version: version}); err != nil {
		return nil, errLost
	}
	m, err := t.hear(GreetTime, greetKind)
	if err != nil || m.State == nil {
		return nil, errLost
	}
	p.State = *m.State
	return p, nil
}

// errLost says that there is nobody whose place can be taken.
var errLost = errors.New("the edge whose place was to be taken has gone, or has given this one up")

// Failed says why this process cannot serve. After Ready it says nothing.
func (p *Predecessor) Failed(problems []string) {
	if p != nil && !p.ready.Load() {
		_ = p.talk.say(message{Kind: failedKind, Problems: problems})
	}
}

// Ready says that this process serves, and waits until it is to take over. Where the old one dies meanwhile, its place is to be taken too.
// The error says that it has given this process up, which is to stop then.
func (p *Predecessor) Ready() error {
	if p == nil {
		return nil
	}
	p.ready.Store(true)
	_ = p.talk.say(message{Kind: readyKind}) // where it has given up, that is to be heard
	if m, err := p.talk.hear(0, takeKind, quitKind); err == nil && m.Kind == quitKind {
		return errLost
	}
	return nil
}

// Taken says that this process has taken over, and waits until the service manager knows it.
func (p *Predecessor) Taken() {
	if p == nil {
		return
	}
	if p.talk.say(message{Kind: takenKind}) == nil {
		_, _ = p.talk.hear(TakeTime, namedKind)
	}
	p.taken.Store(true)
	go func() {
		defer close(p.gone)
		if m, err := p.talk.hear(0, endedKind); err == nil {
			p.finished = m.Finished
			_, _ = p.talk.hear(0) // its end
		}
	}()
}

// Gone is closed when the old process has ended, after Taken.
func (p *Predecessor) Gone() <-chan struct{} {
	if p == nil {
		return nobody
	}
	return p.gone
}

// nobody is closed, as nobody is left.
var nobody = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Stop has the old process, if it still finishes what it had, stop within a time, which is without a bound where it is negative, and waits
// for it; when the channel is closed it is told to be quick. It returns whether everything was finished, as far as that was waited for.
func (p *Predecessor) Stop(within time.Duration, now <-chan struct{}) (finished bool) {
	if p == nil || !p.taken.Load() {
		return true
	}
	select {
	case <-p.gone:
		return true // what it left undone has been told long ago
	default:
	}
	_ = p.talk.say(message{Kind: stopKind, Within: within}) // where it cannot be said, it is just ending: what it has said before counts
	var late <-chan time.Time
	if within >= 0 {
		late = time.After(within + 2*EndTime) // it kills its children at the latest after one
	}
	select {
	case <-p.gone:
		return p.finished
	case <-late:
		return false
	case <-now:
	}
	_ = p.talk.say(message{Kind: stopKind})
	select {
	case <-p.gone:
		return p.finished
	case <-time.After(2 * EndTime):
		return false
	}
}
