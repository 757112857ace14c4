package server

import (
	"time"

	"edge/runtime/http2"
)

// settings are the Options that go with a site, as they are used. They never change.
//
// A connection takes them when it begins; one of HTTP/1 takes them anew with each request, one of HTTP/2, which has told its client of
// some, keeps them. A request's own are those of its site. What is written to the access log goes where the site of that moment says.
type settings struct {
	Options
	http2 http2.Limits
}

// defaultHandshake is Options.HandshakeTimeout where there is none.
const defaultHandshake = 10 * time.Second

// Configure gives the site settings, before it is served. One without gets those of the site that it replaces.
func (site *Site) Configure(o Options) {
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = defaultHandshake
	}
	s := &settings{Options: o, http2: http2.DefaultLimits}
	s.http2.TargetBytes, s.http2.HeaderBytes = o.Limits.TargetBytes, o.Limits.HeaderBytes
	s.http2.HeaderCount, s.http2.BodyBytes = o.Limits.HeaderCount, o.Limits.BodyBytes
	site.settings = s
}

// current are the settings of this moment.
func (s *Server) current() *settings { return s.site.Load().settings }

// renew gives the connection the settings of this moment for its next request, of which nothing has been read.
func (h *http1Conn) renew() {
	if now := h.cn.srv.current(); now != h.cn.settings {
		h.cn.settings = now
		h.reader.Reset(&now.Limits)
	}
}
