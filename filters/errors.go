package filters

import (
	"errors"
	"time"
)

// Errors of an Exchange's methods.
var (
	// ErrTooLate says that the response's head has already been sent.
	ErrTooLate = errors.New("the response has begun")

	// ErrNoUpstream says that the configuration has no such upstream, or that the filter may not call it.
	ErrNoUpstream = errors.New("no such upstream, or not allowed for this filter")

	// ErrCallLimit says that the stream has MaxCalls calls under way.
	ErrCallLimit = errors.New("too many calls under way")

	// ErrBadCall says that a call's method, target, authority or a field is not valid.
	ErrBadCall = errors.New("the call is not a valid request")

	// ErrOutbox says that there is no room for a message in a call's Outbox now, or never: it is longer than MaxMessage.
	ErrOutbox = errors.New("no room for the message")

	// ErrCallEnded says that nothing more can be sent on a call.
	ErrCallEnded = errors.New("the call takes no more messages")

	// ErrBadReply says that a reply's status is not final, that a field is not valid, or that it exceeds MaxReplyBody or
	// MaxReplyHeader.
	ErrBadReply = errors.New("the reply is not a valid response")

	// ErrPropertyLimit says that the exchange's stored attributes would exceed MaxProperties or MaxPropertyBytes.
	ErrPropertyLimit = errors.New("too many stored attributes")
)

// What Limits say where they are zero.
const (
	DefaultPause = 10 * time.Second
	DefaultBody  = 1 << 20 // bytes
)

// Bounds of one exchange.
const (
	MaxCalls         = 16       // call-outs under way for one stream
	MaxProperties    = 64       // attributes stored by SetProperty
	MaxPropertyBytes = 16 << 10 // bytes of their paths and values together
	MaxReplyBody     = 1 << 20  // bytes of a Reply's body
	MaxReplyHeader   = 32 << 10 // bytes of a Reply's header
	MaxChain         = 32       // filters in one route
)
