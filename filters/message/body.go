package message

// Body is a piece of a message's body that somebody holds: a filter that has paused the stream, a call-out's answer.
// The zero value is an empty body. It has one owner at a time: the lane of the filter that holds it, or else the
// connection.
type Body struct {
	data []byte
	skip int // bytes of data already consumed at its front
}

// Len is the number of bytes held.
func (b *Body) Len() int { return len(b.data) - b.skip }

// Bytes is what is held, valid until the next change.
func (b *Body) Bytes() []byte { return b.data[b.skip:] }

// Append copies p to the end.
func (b *Body) Append(p []byte) {
	if b.skip > 0 && len(b.data)+len(p) > cap(b.data) {
		b.data = b.data[:copy(b.data, b.data[b.skip:])]
		b.skip = 0
	}
	b.data = append(b.data, p...)
}

// Replace puts p in the place of the n bytes from start; both are cut to what is held. n = 0 inserts.
func (b *Body) Replace(start, n int, p []byte) {
	held := b.Bytes()
	start = min(max(start, 0), len(held))
	n = min(max(n, 0), len(held)-start)
	if n == len(held) {
		b.data, b.skip = append(b.data[:0], p...), 0
		return
	}
	grown := len(held) + len(p) - n
	out := make([]byte, 0, grown)
	out = append(out, held[:start]...)
	out = append(out, p...)
	out = append(out, held[start+n:]...)
	b.data, b.skip = out, 0
}

// Consume drops n bytes from the front.
func (b *Body) Consume(n int) {
	b.skip += n
	if b.skip >= len(b.data) {
		b.data, b.skip = b.data[:0], 0
	}
}

// Reset empties the body. Memory above keep bytes is given back to the collector.
func (b *Body) Reset(keep int) {
	if cap(b.data) > keep {
		b.data = nil
	}
	b.data, b.skip = b.data[:0], 0
}
