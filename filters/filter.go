// Package filters is the contract between the server and the code that changes requests and responses on their way:
// native filters and Wasm guests alike. It also runs a route's filters as one chain.
//
// A [Filter] is one configured filter. For each request the chain asks it for a [Stream], which sees the request first
// to last and the response last to first. Every callback runs on the worker that runs the connection, or, for a
// filter that keeps lanes, on whoever holds the lane; never two at a time for one stream.
package filters

import (
	"time"

	"edge/filters/message"
)

// Direction says which of the two messages of an exchange is meant.
type Direction uint8

// The two directions.
const (
	Request Direction = iota
	Response
)

// String is the direction in logs and metrics.
func (d Direction) String() string {
	if d == Request {
		return "request"
	}
	return "response"
}

// Action is what a callback decides.
type Action uint8

const (
	// Continue passes what the filter has seen on to the next one.
	Continue Action = iota

	// Pause keeps the message: after the head, nothing more of this message is read or shown until the stream calls
	// Exchange.Continue; after a piece of body, that piece is held and further pieces are shown together with it.
	// A pause on a head or on trailers makes the message the filter's (DESIGN 3: the lane's): nobody else touches it, and
	// no other callback of the exchange is made. A pause on a body makes the held body the filter's and nothing else. A
	// pause ends by Exchange.Continue, Respond or Abort, or at the filter's Limits.Pause with 504.
	Pause

	// Wait says that the callback has not run, because the stream's lane is busy. The chain makes the same call again
	// after the next Exchange.Wake.
	Wait

	// Skip takes the filter out of this exchange; the others go on (on_failure = "open").
	Skip

	// Fail ends the exchange with 503, or by cutting it off where the response has begun (on_failure = "closed").
	Fail
)

// Callbacks is the set of callbacks that a filter has. The chain makes no others: a direction whose body no filter wants
// is passed through uncopied.
type Callbacks uint8

// The members of Callbacks.
const (
	OnRequestHead Callbacks = 1 << iota
	OnRequestBody
	OnRequestTrailers
	OnResponseHead
	OnResponseBody
	OnResponseTrailers
)

// Limits are what the chain enforces for a filter; a filter's own limits (CPU, memory) are its own affair.
type Limits struct {
	// Pause is the longest time that one pause, or one wait for a lane, may last; it ends with 504. 0: DefaultPause.
	Pause time.Duration

	// Body is the most bytes of a body shown in one pause, and the most that a filter may make of a body it lets go; it
	// ends with 413 (request) or 502 (response). 0: DefaultBody.
	Body int
}

// Filter is one configured filter, shared by every worker. Its methods may be called from several workers at once.
type Filter interface {
	// Name is the filter's name in the configuration.
	Name() string

	// Callbacks says what the filter wants to see. It never changes.
	Callbacks() Callbacks

	// Limits never change.
	Limits() Limits

	// NewStream begins the filter's part in one exchange. A filter without state of its own per exchange may return the
	// same value each time. A nil Stream means that the filter cannot take part now: the chain acts as on Skip or, with
	// failClosed, as on Fail.
	NewStream(x Exchange) (s Stream, failClosed bool)
}

// Stream is a filter's part in one exchange. The chain calls one method at a time, heads before bodies before trailers.
// A callback must not block, wait for a socket, or keep the Exchange after Close has returned true.
type Stream interface {
	// Head shows the head of the request, or of the response, in x.Request() or x.Response(), to be changed in place.
	// end says that no body and no trailers follow.
	Head(d Direction, end bool) Action

	// Body shows a piece of body. held is what the stream has kept so far; the callback first appends chunk to it, then
	// reads and changes it. On Continue all of held passes on, and on Skip too; on Pause it stays. chunk is valid during
	// the call only. Where trailers follow, end is not set for a filter that has the trailers callback; a filter without
	// it sees the body's end in their place.
	Body(d Direction, held *message.Body, chunk []byte, end bool) Action

	// Trailers shows the trailers, in Request.Trailer or Response.Trailer, which are not to be touched before. On Continue
	// what the stream holds of the body passes on ahead of them.
	Trailers(d Direction) Action

	// CallDone brings the answer to Exchange.Call, or, of gRPC, the next part of it; answer is nil where an HTTPCall failed or timed
	// out, and is valid during the call only. It returns Continue, or Wait, Skip or Fail like the other callbacks; what it wants to happen it says
	// with Exchange.Continue and the like.
	CallDone(id uint32, answer *CallAnswer) Action

	// Close ends the stream: the exchange is over, or the filter was taken out of it. It returns false where the lane is
	// busy: the chain calls again after the next Exchange.Wake, and keeps the Exchange until then.
	Close() (done bool)
}

// Waiting is what a Stream implements too that keeps a place in a line between a callback that has returned Wait and the next one.
type Waiting interface {
	// Forgo says that the callback that waited is not made any more, as the exchange has taken another turn, or not soon, as another filter has
	// paused: the place is for others. Callbacks may come, and wait anew, and Close does. The chain calls it on the connection's turn.
	Forgo()
}

// Exchange is what a stream sees of the request it works on. Only Wake may be called at any time and from anywhere; the
// rest may be called during a callback of this stream (CallDone and Close among them), or while this stream is paused,
// by whoever holds its lane.
//
// Outside of callbacks a paused stream may touch what the pause has made its own: after Pause on a head or on trailers,
// the message of that direction, and Property; after Pause on a body, Held of that direction. The rest of the messages
// may be changing on another worker.
//
// The chain takes from a head what a filter may not say: see [Framing]. A content-length is only what filters read.
type Exchange interface {
	// Request and Response are the messages. Response is empty until the response's head callback.
	Request() *message.Request
	Response() *message.Response

	// Held is the body of that direction which the stream holds in a pause, empty where it is not paused, and nil where
	// the filter has no callback for that body.
	Held(d Direction) *message.Body

	// Continue ends this stream's pause in that direction. From then on the message is the connection's again. In a
	// callback it also turns the Pause that the callback returns into Continue. Calling it for a stream that is not
	// paused there does nothing. It wakes the connection where that is needed.
	Continue(d Direction)

	// Respond answers the client in place of the origin, or, in the response phase before its head has been sent, in
	// place of what the origin said. It copies the reply. It overrides the action that the callback returns, and ends a
	// pause. The filters still taking part see the response, but for those that have seen the head of another one. The
	// first reply counts: where there is one under way, or the response's head has been sent, it returns ErrTooLate; for
	// a reply that cannot be sent ErrBadReply.
	Respond(r *Reply) error

	// Abort cuts the exchange off: the client's connection is closed (HTTP/1), or the stream is reset (HTTP/2).
	Abort()

	// Wake has the connection's turn come, to make a call again that returned Wait or to see what Continue, Respond
	// and Abort asked for. It may be called at any time and from any goroutine.
	Wake()

	// Call sends a request to a configured upstream on behalf of the stream; CallDone brings the answer. It copies what
	// it needs. Errors: ErrNoUpstream, ErrCallLimit, ErrBadCall.
	Call(c *Call) (id uint32, err error)

	// Property looks an attribute up by its path, segments joined by NUL, named as Envoy names them (request.path,
	// source.address …), or one stored by SetProperty.
	Property(path string) (Value, bool)

	// SetProperty stores an attribute for the other filters of this exchange. Errors: ErrPropertyLimit.
	SetProperty(path string, value []byte) error

	// Log writes a line with the filter's name and the exchange's request id.
	Log(level Level, text string)
}

// Reply is a response made by a filter.
type Reply struct {
	Status  int         // 200…599
	Header  [][2]string // name, value
	Body    []byte
	Details string // why, for the access log; not sent

	// Flag is FlagNone for an answer of the filter's own. Who answers in a filter's place says FlagFailed or FlagLimit.
	Flag Flag
}

// CallKind says what a call is, and how its answer is brought.
type CallKind uint8

// The kinds of call.
const (
	HTTPCall   CallKind = iota // one answer, Whole
	GRPCCall                   // of gRPC: Body is one message. Initial, then Closed with the one message of the answer
	GRPCStream                 // of gRPC: messages come by the Outbox. Initial, any number of Message, then Closed
)

// Call is a request to an upstream made by a filter. Those of gRPC have an Outbox.
type Call struct {
	Kind      CallKind
	Outbox    *Outbox
	Upstream  string // name in the configuration
	Method    string
	Authority string
	Target    string
	Header    [][2]string
	Body      []byte
	Trailer   [][2]string
	Timeout   time.Duration // to the whole answer; 0 means the upstream's own timeouts
}

// Part says which part of an answer it is.
type Part uint8

// The parts. A call of gRPC has one Closed, as its last: also where it fails.
const (
	Whole   Part = iota // of an HTTPCall
	Initial             // the initial metadata, in Header; it comes once at most
	Message             // a message, in Body
	Closed              // the end: Status is gRPC's code, Text its message; Header and Trailer the metadata, if any
)

// CallAnswer is what came back, or a part of it.
type CallAnswer struct {
	Part    Part
	Status  int
	Text    string
	Header  *message.Fields
	Body    []byte
	Trailer *message.Fields
}

// More says that more of the answer follows.
func (a *CallAnswer) More() bool { return a != nil && (a.Part == Initial || a.Part == Message) }

// Level is a log line's severity, numbered as Proxy-Wasm numbers them.
type Level uint8

// The levels.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
	Critical
)

// Kind is the type of an attribute's value.
type Kind uint8

// The kinds of attribute.
const (
	Bytes Kind = iota
	Int
	Bool
	Time // nanoseconds since 1970
	Map  // Value.Fields
)

// Value is an attribute's value.
type Value struct {
	Kind   Kind
	Text   string // Bytes: a view, valid during the callback
	Num    int64  // Int, Bool (0 or 1), Time
	Fields *message.Fields
}
