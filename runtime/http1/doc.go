// Package http1 turns bytes into HTTP/1.0 and HTTP/1.1 messages and back (RFC 9112), strictly: what two parsers could
// read in two ways is refused, never repaired.
//
// It is a pair of state machines without descriptors, goroutines or clocks. [RequestReader] reads what clients send,
// [ResponseReader] what upstreams answer; the Append functions write. The caller owns every buffer. It feeds a reader
// the bytes it has, drops from the front as many as the reader consumed, and keeps the rest to be fed again with more
// behind them:
//
//	for {
//		n, event, err := reader.Feed(in, request)
//		in = in[n:]                       // also when event is More
//		if err != nil || event == More { break }
//		…
//	}
//
// A reader looks at a byte a bounded number of times however the bytes arrive, and what it reports does not depend on
// how they were cut: only the pieces of a body's Data events do.
package http1
