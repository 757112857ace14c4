package http2

import "time"

// Limits are the bounds an operator sets. They are shared by many sessions and never changed.
type Limits struct {
	TargetBytes int   // of :path; beyond it 414
	HeaderBytes int   // of a field section, each field counted with 32 bytes more (RFC 9113 section 6.5.2); beyond it 431, beyond twice as much GOAWAY
	HeaderCount int   // of fields in a section, cookie crumbs counted one by one; beyond it 431
	BodyBytes   int64 // of a request's body; beyond it 413. Negative is no bound

	Streams      int   // that a client may have open at a time; more are refused. One that was reset is open until the work for it has ended
	StreamWindow int32 // bytes of a body that a client may send ahead on a stream, at first: at least 65,535. At most it is half of Window
	Window       int32 // the same for all streams of a connection together, at least StreamWindow
	WebSocket    bool  // whether extended CONNECT is announced (RFC 8441)
}

// DefaultLimits are those of an edge.toml that says nothing.
var DefaultLimits = Limits{
	TargetBytes: 16 << 10, HeaderBytes: 32 << 10, HeaderCount: 128, BodyBytes: -1,
	Streams: 100, StreamWindow: 64 << 10, Window: 1 << 20, WebSocket: true,
}

// Bounds that no configuration moves.
const (
	MaxFrameBytes    = 16 << 10  // payload of a frame, both ways: the least that RFC 9113 section 4.2 allows to announce
	maxContinuations = 8         // CONTINUATION frames of a field section, empty ones counted (F60)
	maxSettings      = 32        // of one SETTINGS frame (F62)
	maxTurnFrames    = 512       // looked at in one Feed
	maxMethodBytes   = 32        // as in HTTP/1
	maxTableBytes    = 4096      // of the dynamic table for what we read: the protocol's initial value, never raised
	maxPriority      = 1 << 10   // bytes of a PRIORITY_UPDATE frame; longer ones are skipped
	streamHigh       = 64 << 10  // bytes of a response that wait on a stream: beyond it the stream has no room
	sessionHigh      = 256 << 10 // the same for a connection
	lately           = 32        // closed streams that are remembered
)

// Times, by the clock that Turn is given.
const (
	settingsTime = 10 * time.Second // for the client to acknowledge our SETTINGS
	drainTime    = time.Second      // from the first GOAWAY of a graceful shutdown to the second, if no PING comes back before
)
