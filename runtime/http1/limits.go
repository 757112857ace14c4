package http1

// Limits bound what one message may take. A value is shared by many readers and is not changed while any reader has it.
type Limits struct {
	// TargetBytes is the longest request target. Beyond it: 414.
	TargetBytes int

	// HeaderBytes is the most bytes of field lines, line ends included, start line not; it holds for the header section
	// and again for the trailer section. Beyond it: 431.
	HeaderBytes int

	// HeaderCount is the most field lines of a section, framing and connection fields included. Beyond it: 431.
	HeaderCount int

	// BodyBytes is the most bytes of a body, or -1 for no bound. Beyond it: 413, before the first byte of a body whose
	// length is declared and before the first byte of the chunk that would exceed it.
	BodyBytes int64

	// ChunkExtBytes is the most bytes of chunk extensions in one message (RFC 9112 section 7.1.1). Beyond it: 400.
	// Whatever it is, extensions above 256 bytes must not outweigh the data 16 to 1 (S16).
	ChunkExtBytes int

	// Interims is the most 1xx responses before the final one (S28, U85).
	Interims int
}

// DefaultLimits are those of an edge.toml that says nothing.
var DefaultLimits = Limits{
	TargetBytes:   16 << 10,
	HeaderBytes:   32 << 10,
	HeaderCount:   128,
	BodyBytes:     -1,
	ChunkExtBytes: 4 << 10,
	Interims:      8,
}

// Bounds that no configuration moves.
const (
	maxMethodBytes     = 32      // beyond it: 501 (RFC 9112 section 3)
	maxStatusLineBytes = 4 << 10 // a response's start line, with its end
	maxEmptyLines      = 4       // before a request line (RFC 9112 section 2.2)
	maxConnectionLines = 8       // Connection fields in one message
	maxOptions         = 64      // connection options in one message
	maxChunkDigits     = 16      // hexadecimal digits of a chunk size (S12)
	freeExtBytes       = 256     // chunk extensions that need no data to justify them
	maxExtPerData      = 16      // bytes of chunk extension for each byte of data beyond that
)

// BufferBytes is the most bytes a caller may be left holding after More: a head, or a trailer section, that is almost
// whole. A buffer of this size is always enough.
func (l *Limits) BufferBytes() int {
	return max(l.requestLineBytes(), maxStatusLineBytes) + l.HeaderBytes
}

// requestLineBytes is the longest request line with its end: method, target, version, two spaces, CRLF.
func (l *Limits) requestLineBytes() int { return maxMethodBytes + l.TargetBytes + 12 }
