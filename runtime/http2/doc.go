// Package http2 turns the bytes of an HTTP/2 connection into requests and responses into bytes (RFC 9113, HPACK as of RFC 7541,
// priorities as of RFC 9218, WebSocket as of RFC 8441).
//
// A [Session] is a state machine without descriptors, goroutines or clocks. Its caller lends it an [Output] and the time for the
// length of a turn, feeds it the bytes it has, drops from the front as many as were consumed, and keeps the rest to be fed again
// with more behind them:
//
//	session.Turn(output, now)
//	n, bad := session.Feed(in)
//	in = in[n:]
//	…                        // answers: Stream.WriteHead, Stream.Write, …
//	session.Fill(room)       // what waited for windows
//
// What Feed finds it tells the [Receiver] in the order of the frames; what there is to tell does not depend on how the bytes were
// cut, only the pieces of bodies do. A unit (a frame that is not DATA; HEADERS with its CONTINUATION frames) is looked at when all of
// it is there, so a session holds no bytes of the input but bodies that the receiver does not take yet.
//
// Everything a peer can make a session do is bounded: by the windows for bodies, by [Limits], and for whatever is odd but allowed by
// one budget for each connection, which ends in GOAWAY with ENHANCE_YOUR_CALM.
package http2
