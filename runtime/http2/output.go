package http2

import (
	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Output is what a worker lends to the sessions it runs, one at a time: where their output goes, and scratch. It belongs to the
// worker.
type Output struct {
	// Dst is what output is appended to. Who takes from it calls Begin.
	Dst []byte

	framer *h2.Framer
	block  []byte // a header block being written
	joined []byte // one that was read in pieces
	plain  scratch
	last   lastData
	read   section
	take   func(hpack.HeaderField) // read.field: where the fields of a block go
	order  []*Stream
}

// lastData is the DATA frame at the end of Dst, while nothing is behind it.
type lastData struct {
	at, end int
	s       *Stream
}

// endsLast has the last frame in Dst end its stream, if it is of s: the end of a body is often known only behind its last piece.
func (o *Output) endsLast(s *Stream) bool {
	if o.last.s != s || o.last.end != len(o.Dst) || o.last.end == 0 {
		return false
	}
	o.Dst[o.last.at+4] |= byte(h2.FlagDataEndStream)
	return true
}

// NewOutput makes what a worker keeps.
func NewOutput() *Output {
	o := new(Output)
	o.framer = h2.NewFramer(o, nil)
	o.take = o.read.field
	return o
}

// Begin has output appended to dst from now on.
func (o *Output) Begin(dst []byte) { o.Dst, o.last = dst, lastData{} }

// Write is part of io.Writer, for the Framer: it appends to Dst.
func (o *Output) Write(p []byte) (int, error) {
	o.Dst = append(o.Dst, p...)
	return len(p), nil
}

// The Framer's errors are those of invalid arguments and of the writer: there are none.

func (o *Output) reset(id uint32, code Code) { o.framer.WriteRSTStream(id, code) }

func (o *Output) windowUpdate(id uint32, n int32) { o.framer.WriteWindowUpdate(id, uint32(n)) }

// headers writes o.block as HEADERS and as many CONTINUATION frames as it takes.
func (o *Output) headers(id uint32, end bool, frameMax int) {
	rest := o.block
	piece := rest[:min(len(rest), frameMax)]
	rest = rest[len(piece):]
	o.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: piece, EndStream: end, EndHeaders: len(rest) == 0})
	for len(rest) > 0 {
		piece = rest[:min(len(rest), frameMax)]
		rest = rest[len(piece):]
		o.framer.WriteContinuation(id, len(rest) == 0, piece)
	}
}

// join is a header block in one piece: what CONTINUATION frames brought is in rest. The decoder would keep what a cut leaves half read in
// memory of its own, up to the largest field for as long as the connection lasts.
func (o *Output) join(first, rest []byte) []byte {
	if len(rest) == 0 {
		return first
	}
	o.joined = append(o.joined[:0], first...)
	for len(rest) > 0 {
		end := frameHeaderBytes + readFrame(rest).length
		o.joined = append(o.joined, rest[frameHeaderBytes:end]...)
		rest = rest[end:]
	}
	return o.joined
}
