package upstream

import (
	"edge/filters/message"
	"edge/runtime/http2"
)

// The session as http2.ClientReceiver.

// Interim is part of http2.ClientReceiver.
func (s *Session) Interim(hs *http2.Stream) {
	st := hs.Owner.(*stream)
	r := &message.Response{Status: st.resp.Status, Bodiless: true}
	r.Header.CopyFrom(&st.resp.Header)
	st.mu.Lock()
	st.interims = append(st.interims, r)
	st.tell()
}

// Head is part of http2.ClientReceiver.
func (s *Session) Head(hs *http2.Stream, end bool) {
	st := hs.Owner.(*stream)
	s.served = true
	st.open = st.tunnel && st.resp.Status/100 == 2
	st.movedAt.Store(s.now)
	st.mu.Lock()
	st.head, st.inEnd = true, end
	s.told(st, end)
}

// Data is part of http2.ClientReceiver.
func (s *Session) Data(hs *http2.Stream, p []byte, end bool) {
	st := hs.Owner.(*stream)
	st.movedAt.Store(s.now)
	st.mu.Lock()
	st.in = append(st.in, p...)
	st.inEnd = end
	s.told(st, end)
}

// Trailers is part of http2.ClientReceiver.
func (s *Session) Trailers(hs *http2.Stream, fields *message.Fields) {
	st := hs.Owner.(*stream)
	st.mu.Lock()
	st.trailer.CopyFrom(fields)
	st.inEnd = true
	s.told(st, true)
}

// told wakes the leg, and lets a stream go whose response has ended. The caller holds st.mu.
func (s *Session) told(st *stream, end bool) {
	if st.heard = end; !end || st.open && !st.s.Answered() { // each direction of a tunnel ends by itself
		st.tell()
		return
	}
	st.mu.Unlock()
	s.finish(st) // the leg is woken when it is released
}

// Reset is part of http2.ClientReceiver.
func (s *Session) Reset(hs *http2.Stream, why *http2.Error) {
	f := failure{cause: Closed, refused: why.Code == http2.ErrRefused}
	f.unseen = f.refused
	switch {
	case why == errServerGone:
		f = s.broken
		f.unseen = false
	case s.client.Failed() != nil:
		f.cause = BadResponse
	case !why.ByPeer():
		f.cause = BadResponse
	default:
		f.reset, f.code = true, why.Code
	}
	s.giveUp(hs.Owner.(*stream), f)
}
