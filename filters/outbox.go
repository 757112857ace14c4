package filters

import (
	"encoding/binary"
	"sync"
)

// Bounds of gRPC calls.
const (
	// MaxMessage is the most bytes of one message, to an upstream or from it.
	MaxMessage = 1 << 20

	// MaxOutbox is the most bytes that wait in an Outbox, each message with what stands before it. A message finds room in an empty one.
	MaxOutbox = MaxMessage + MessagePrefix

	// MessagePrefix is the size in bytes of what stands before a message: whether it is compressed, and its length.
	MessagePrefix = 5
)

// keepOutbox bounds the memory, in bytes, that an empty Outbox keeps.
const keepOutbox = 16 << 10

// AppendMessage appends a message as gRPC carries it (PROTOCOL-HTTP2, Length-Prefixed-Message), not compressed.
func AppendMessage(to, message []byte) []byte {
	to = binary.BigEndian.AppendUint32(append(to, 0), uint32(len(message)))
	return append(to, message...)
}

// Outbox is a filter's hand on a gRPC call of its own: what it sends waits there until the server takes it, and there the filter ends or
// cancels the call. Whoever makes the call makes the Outbox; the server is its other end. Any goroutine may call its methods, and none
// blocks.
type Outbox struct {
	mu        sync.Mutex // guards what follows, for the length of a copy
	waits     []byte     // messages with their prefixes …
	at        int        // … but for this much, which the server has taken
	ended     bool       // the filter sends no more
	cancelled bool
	over      bool // nobody takes anything any more
	wake      func()
}

// Send puts a message into the box; end says that it is the last. Errors: ErrOutbox where there is no room, or the message is longer than
// MaxMessage; ErrCallEnded behind the last one, and where the call is over.
func (o *Outbox) Send(message []byte, end bool) error {
	o.mu.Lock()
	switch left := len(o.waits) - o.at; {
	case o.ended || o.cancelled || o.over:
		o.mu.Unlock()
		return ErrCallEnded
	case len(message) > MaxMessage || left > 0 && left+MessagePrefix+len(message) > MaxOutbox:
		o.mu.Unlock()
		return ErrOutbox
	case o.at > 0:
		o.waits, o.at = o.waits[:copy(o.waits, o.waits[o.at:])], 0
	}
	o.waits = AppendMessage(o.waits, message)
	o.ended = end
	o.tell()
	return nil
}

// End says that there are no more messages. What the server says is still brought.
func (o *Outbox) End() {
	o.mu.Lock()
	o.ended = true
	o.tell()
}

// Cancel gives the call up. Its Closed still comes.
func (o *Outbox) Cancel() {
	o.mu.Lock()
	o.cancelled = true
	o.tell()
}

// tell wakes the server. The caller holds mu, which tell gives back.
func (o *Outbox) tell() {
	wake := o.wake
	o.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// Attach has the server hear of what comes; wake may be called from any goroutine, also a little after Close.
func (o *Outbox) Attach(wake func()) {
	o.mu.Lock()
	o.wake = wake
	o.mu.Unlock()
}

// Take appends what waits to to, at most so many bytes, and says whether that was the last of it.
func (o *Outbox) Take(to []byte, most int) (taken []byte, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(most, len(o.waits)-o.at)
	to = append(to, o.waits[o.at:o.at+n]...)
	if o.at += n; o.at == len(o.waits) {
		o.at, o.waits = 0, o.waits[:0]
		if cap(o.waits) > keepOutbox {
			o.waits = nil
		}
		end = o.ended
	}
	return to, end
}

// Cancelled says whether the filter has given the call up.
func (o *Outbox) Cancelled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cancelled
}

// Close says that the call is over: what still waits is dropped.
func (o *Outbox) Close() {
	o.mu.Lock()
	o.over, o.waits, o.at, o.wake = true, nil, 0, nil
	o.mu.Unlock()
}

// Clone is an Outbox with the same in it, for a call that is made anew. Nobody is attached to it.
func (o *Outbox) Clone() *Outbox {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &Outbox{waits: append([]byte(nil), o.waits[o.at:]...), ended: o.ended, cancelled: o.cancelled}
}
