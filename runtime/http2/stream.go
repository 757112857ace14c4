package http2

import (
	"edge/filters/message"
)

// Stream is one request and its answer. The receiver owns its memory and keeps it with the exchange it belongs to; a session uses it
// from Receiver.Head to Release. The zero value with Request set is ready.
type Stream struct {
	Request  *message.Request  // the session fills it before Receiver.Head, and its Trailer before Receiver.Trailers
	Response *message.Response // of a Client's stream, in its place: filled before ClientReceiver.Interim and Head
	Owner    any               // the receiver's

	session  *Session
	in       message.Body   // came while the receiver did not accept
	out      message.Body   // waits for windows
	tail     []byte         // the header block of trailers behind out
	trailer  message.Fields // of the request, until the receiver accepts them
	got      int64          // bytes of the request's body
	gone     int64          // bytes of the answer's that have left for the output
	length   int64          // declared; or message.UnknownLength
	id       uint32
	sendLeft int32 // the window for what we send; negative after a change of settings
	recvLeft int32 // the window for what the client sends
	recvMost int32 // what it is opened to
	taken    int32 // bytes the receiver has taken and the client has not been told of
	flags    streamFlag
	urgency  uint8
	interims uint8
	last     [1]byte // of a body that is as long as declared and has not ended
}

type streamFlag uint32

const (
	streamInEnd       streamFlag = 1 << iota // the client has ended the stream
	streamInGiven                            // … and the receiver knows
	streamHasTrailers                        // trailer is to be given with the end
	streamHead                               // a final head is written
	streamOutEnd                             // the end of the answer is written, or waits in out
	streamOutGone                            // … and has left
	streamReset                              // by either side: nothing more is written
	streamByPeer                             // by the client
	streamIncremental                        // RFC 9218 section 4.2
	streamTrailersOK                         // the client said "te: trailers"
	streamTunnel                             // an extended CONNECT
	streamRejected                           // what the client still sends is dropped
	streamQueued                             // waits in Session.waiting
	streamWaited                             // some of the body was not taken as it came, since its window was opened last
	streamInHead                             // of a client's: the final head is there
	streamHeadOnly                           // of a client's: the method is HEAD
	streamHolds                              // last is held
)

func (s *Stream) is(f streamFlag) bool { return s.flags&f != 0 }

const keepBytes = 4 << 10 // of a stream's buffers, for the next request

func (s *Stream) begin(c *Session, id uint32) {
	s.session, s.id = c, id
	s.sendLeft, s.recvLeft, s.recvMost = c.peer.window, c.limits.StreamWindow, c.limits.StreamWindow
	s.got, s.gone, s.taken, s.interims = 0, 0, 0, 0
}

// clear lets go of everything but memory.
func (s *Stream) clear() {
	s.in.Reset(keepBytes)
	s.out.Reset(keepBytes)
	s.tail = s.tail[:0]
	s.trailer.Reset()
	s.session, s.id, s.flags = nil, 0, 0
}

// ID is the stream's number, 0 while it is not in use.
func (s *Stream) ID() uint32 { return s.id }

// Ended says whether the client has sent all of the request, and the receiver has been told.
func (s *Stream) Ended() bool { return s.is(streamInGiven) }

// Complete says whether the client has sent all of the request, told or not.
func (s *Stream) Complete() bool { return s.is(streamInEnd) }

// TakesTrailers says whether the client sent "te: trailers" (RFC 9110 section 10.1.4).
func (s *Stream) TakesTrailers() bool { return s.is(streamTrailersOK) }

// Tunnel says whether the request is an extended CONNECT (RFC 8441): its Request looks like the HTTP/1.1 request that asks for the
// same protocol, an answer of 101 goes out as 200, and what follows are the protocol's bytes both ways.
func (s *Stream) Tunnel() bool { return s.is(streamTunnel) }

// Gone says whether the stream was reset, by either side: nothing that is written to it goes anywhere.
func (s *Stream) Gone() bool { return s.is(streamReset) || s.session == nil }

// Flushed says whether the whole answer has left for the output.
func (s *Stream) Flushed() bool { return s.is(streamOutGone) }

// Answered says whether the end of the answer has been written, though windows may keep it back.
func (s *Stream) Answered() bool { return s.is(streamOutEnd) }

// Progress is the number of bytes of bodies that have moved, both ways.
func (s *Stream) Progress() int64 { return s.got + s.gone }

// Pending is the number of bytes of the answer that wait for windows.
func (s *Stream) Pending() int { return s.out.Len() }

// Exhausted says that the client has used up most of the window of a stream whose body is discarded: it is to be stopped.
func (s *Stream) Exhausted() bool {
	return s.session != nil && s.recvLeft < s.session.limits.StreamWindow/4
}

// Held is the number of bytes of the request that wait for the receiver, see Session.Deliver.
func (s *Stream) Held() int { return s.in.Len() }

// Shut says whether the client has closed its windows, the stream's or the connection's, while there is still some of the answer to
// come: it is the client that is waited for, whether anything lies ready or not.
func (s *Stream) Shut() bool {
	return s.is(streamHead) && !s.is(streamOutGone|streamReset) && s.session != nil && (s.sendLeft <= 0 || s.session.sendLeft <= 0)
}

// Room says whether more of the answer may be written: what waits for the client's windows is bounded, for the stream and for the
// connection. A stream that has nothing waiting and a good window has room whatever other streams do.
func (s *Stream) Room() bool {
	c := s.session
	if c == nil || s.is(streamReset) {
		return true // it goes nowhere
	}
	if s.out.Len() == 0 && min(s.sendLeft, c.sendLeft) >= MaxFrameBytes {
		return true
	}
	return s.out.Len() < streamHigh && c.queued < sessionHigh
}
