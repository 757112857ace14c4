package http1

import (
	"edge/filters/message"
)

// body reads the content of one message by its framing (RFC 9112 sections 6 and 7). It keeps no bytes: chunk framing is
// read byte by byte into its state, and only a trailer section has to be whole.
type body struct {
	scan
	data   []byte // of the last Data event
	left   int64  // bytes left of the body, or of the chunk
	total  int64  // bytes of the chunks so far
	ext    int32  // bytes of chunk extensions so far
	state  bodyState
	digits uint8 // of the chunk size so far
}

type bodyState uint8

const (
	atHead bodyState = iota // no body yet
	atFixed
	atOpen // until the peer closes
	atEnd

	// A chunk line: its size, then extensions (RFC 9112 sections 7.1 and 7.1.1).
	atSizeFirst
	atSize
	atExtBlank     // white space that a ";" must follow
	atExtNameFirst // after ";"
	atExtName
	atExtNameBlank // white space that "=" or ";" must follow
	atExtValueFirst
	atExtToken
	atExtQuoted
	atExtEscaped
	atExtQuoteEnd
	atSizeLF

	atChunk
	atChunkCR
	atChunkLF
	atTrailers

	broken
)

// begin sets the state for a body of that length: chunked where it is UnknownLength.
func (b *body) begin(length int64) {
	switch {
	case length == message.UnknownLength:
		b.state = atSizeFirst
	case length == 0:
		b.state = atEnd
	default:
		b.state, b.left = atFixed, length
	}
}

// feed reads on. Trailers go to trailer. fault is final.
func (b *body) feed(in []byte, trailer *message.Fields, limits *Limits) (n int, ev Event, f fault) {
	for {
		switch b.state {
		case atEnd:
			return n, End, ok
		case atOpen:
			if len(in) == n {
				return n, More, ok
			}
			take := len(in) - n
			if limits.BodyBytes >= 0 {
				take = int(min(int64(take), limits.BodyBytes-b.total))
			}
			if take == 0 {
				return n, More, faultBodyTooLarge
			}
			b.total += int64(take)
			b.data = in[n : n+take : n+take]
			return n + take, Data, ok
		case atFixed, atChunk:
			if len(in) == n {
				return n, More, ok
			}
			take := int(min(int64(len(in)-n), b.left))
			b.data = in[n : n+take : n+take]
			if b.left -= int64(take); b.left == 0 {
				if b.state == atFixed {
					b.state = atEnd
				} else {
					b.state = atChunkCR
				}
			}
			return n + take, Data, ok
		case atTrailers:
			size, f := b.scan.trailers(in[n:], limits.HeaderBytes)
			if f != ok || size == 0 {
				return n, More, f
			}
			if f := parseTrailers(in[n:n+size], trailer, limits.HeaderCount); f != ok {
				return n, More, f
			}
			b.state = atEnd
			return n + size, End, ok
		default:
			if len(in) == n {
				return n, More, ok
			}
			if f := b.chunkByte(in[n], limits); f != ok {
				return n, More, f
			}
			n++
		}
	}
}

// chunkByte reads one byte of chunk framing: a size line or the line end behind the data.
func (b *body) chunkByte(c byte, limits *Limits) fault {
	switch b.state {
	case atSizeFirst, atSize:
		return b.sizeByte(c, limits)
	case atSizeLF:
		if c != '\n' {
			return faultChunkSize
		}
		return b.sizeKnown(limits)
	case atChunkCR:
		if c != '\r' {
			return faultChunkEnd
		}
		b.state = atChunkLF
	case atChunkLF:
		if c != '\n' {
			return faultChunkEnd
		}
		b.state, b.left, b.digits = atSizeFirst, 0, 0
	default:
		return b.extByte(c, limits)
	}
	return ok
}

// sizeByte reads hexadecimal digits up to what may follow them (S12). The grammar would allow white space before ";";
// recipients disagree about it, so it is refused.
func (b *body) sizeByte(c byte, limits *Limits) fault {
	var digit byte
	switch {
	case '0' <= c && c <= '9':
		digit = c - '0'
	case 'a' <= c && c <= 'f':
		digit = c - 'a' + 10
	case 'A' <= c && c <= 'F':
		digit = c - 'A' + 10
	case b.state == atSizeFirst:
		return faultChunkSize
	case c == '\r':
		b.state = atSizeLF
		return ok
	case c == ';':
		b.state = atExtBlank
		return b.extByte(c, limits)
	default:
		return faultChunkSize
	}
	if b.digits++; b.digits > maxChunkDigits || b.left >= 1<<59 {
		return faultChunkSize
	}
	b.left = b.left<<4 | int64(digit)
	b.state = atSize
	return ok
}

// sizeKnown comes at the end of a size line.
func (b *body) sizeKnown(limits *Limits) fault {
	if b.left == 0 {
		b.state, b.scan = atTrailers, scan{}
		return ok
	}
	if b.left > 1<<62-b.total || (limits.BodyBytes >= 0 && b.total+b.left > limits.BodyBytes) {
		return faultBodyTooLarge // R76
	}
	b.total += b.left
	if b.ext > freeExtBytes && int64(b.ext) > maxExtPerData*b.total {
		return faultChunkExtTooLarge // S16
	}
	b.state = atChunk
	return ok
}

// extByte reads one byte of chunk extensions. They are checked and dropped: never shown, never forwarded (S15).
func (b *body) extByte(c byte, limits *Limits) fault {
	if c != '\r' {
		if b.ext++; int(b.ext) > limits.ChunkExtBytes {
			return faultChunkExtTooLarge
		}
	}
	token := lowerToken[c] != 0
	state := broken
	switch b.state {
	case atExtBlank:
		switch {
		case blank(c):
			state = atExtBlank
		case c == ';':
			state = atExtNameFirst
		}
	case atExtNameFirst:
		switch {
		case blank(c):
			state = atExtNameFirst
		case token:
			state = atExtName
		}
	case atExtName, atExtNameBlank:
		switch {
		case blank(c):
			state = atExtNameBlank
		case c == '=':
			state = atExtValueFirst
		case c == ';':
			state = atExtNameFirst
		case b.state == atExtName && token:
			state = atExtName
		case b.state == atExtName && c == '\r':
			state = atSizeLF
		}
	case atExtValueFirst:
		switch {
		case blank(c):
			state = atExtValueFirst
		case c == '"':
			state = atExtQuoted
		case token:
			state = atExtToken
		}
	case atExtToken, atExtQuoteEnd:
		switch {
		case blank(c):
			state = atExtBlank
		case c == ';':
			state = atExtNameFirst
		case c == '\r':
			state = atSizeLF
		case b.state == atExtToken && token:
			state = atExtToken
		}
	case atExtQuoted:
		switch {
		case c == '"':
			state = atExtQuoteEnd
		case c == '\\':
			state = atExtEscaped
		case message.IsValue(c):
			state = atExtQuoted
		}
	case atExtEscaped:
		if message.IsValue(c) {
			state = atExtQuoted
		}
	}
	if state == broken {
		return faultChunkExt
	}
	b.state = state
	return ok
}

// unread is the number of body bytes not yet read: 0 at the end, and -1 where it cannot be known.
func (b *body) unread() int64 {
	switch b.state {
	case atEnd:
		return 0
	case atFixed:
		return b.left
	}
	return -1
}
