package server

import "edge/filters/message"

// client is an exchange's way to whoever asked: an HTTP/1 connection, or a stream of an HTTP/2 one. The exchange calls its methods on
// the connection's turn. Back the other way the protocol calls begin, bodyIn, bodyEnd and clientGone as the request comes in, advance
// and more once a turn, and asks wantsBody before it reads on.
type client interface {
	// takesTrailers says whether the client wants trailers (RFC 9110 section 10.1.4).
	takesTrailers() bool

	// interim sends a 1xx response with these fields, which may be nil. It is not called for HTTP/1.0, nor once the head is sent.
	interim(status int, header *message.Fields)

	// head sends the head of the exchange's response; end says that nothing follows it.
	head(end bool)

	// body sends a piece of the body, or of what a tunnel carries; end says that it is the last. It takes all of it: the exchange
	// looks at pending first.
	body(p []byte, end bool)

	// trailers ends the response with trailers.
	trailers(f *message.Fields)

	// pending is the number of bytes of output that the client has not taken, without what this turn has gathered: an event tells
	// when it falls.
	pending() int

	// direct says that the body is bytes of the socket, which the kernel may send from a file behind what has been sent.
	direct() bool

	// over takes leave of the exchange, which is whole or cut off (flagAborted) and goes back to the free list.
	over(x *exchange)
}
