package httpwasm

import (
	"errors"
	"fmt"

	"edge/filters/message"
)

func getMethod(i *Instance, a []uint64) { a[0] = i.give(i.stream.x.Request().Method, a[0], a[1]) }

func setMethod(i *Instance, a []uint64) {
	method := i.readString(a[0], a[1])
	if !message.ValidName(method) {
		panic(errors.New("set_method with what is no method"))
	}
	i.stream.writable(kindRequest, len(method))
	r := i.stream.x.Request()
	r.Method = r.Header.Keep(method)
}

func getURI(i *Instance, a []uint64) { a[0] = i.give(i.stream.x.Request().Target, a[0], a[1]) }

// setURI takes a path with its query, percent-encoded, as it stands; "" is "/".
func setURI(i *Instance, a []uint64) {
	uri := i.readString(a[0], a[1])
	if uri == "" {
		uri = "/"
	}
	if uri[0] != '/' && uri != "*" {
		panic(errors.New("set_uri with what does not begin with /"))
	}
	for k := range len(uri) {
		if c := uri[k]; c <= ' ' || c >= 0x7f || c == '#' {
			panic(fmt.Errorf("set_uri with byte %#02x, which must be percent-encoded", c))
		}
	}
	i.stream.writable(kindRequest, len(uri))
	r := i.stream.x.Request()
	r.Target = r.Header.Keep(uri)
}

// setAuthority refuses what does not stand in Host (RFC 3986 section 3.2).
func (s *Stream) setAuthority(host string) {
	for k := range len(host) {
		switch c := host[k]; {
		case c <= ' ', c >= 0x7f, c == '@', c == '/', c == '?', c == '#', c == '\\', c == ',', c == '"', c == '<', c == '>':
			panic(errors.New("the host was set to what is none"))
		}
	}
	if host == "" {
		panic(errors.New("the host was set to nothing"))
	}
	r := s.x.Request()
	r.Authority = r.Header.Keep(host)
}

func getProtocolVersion(i *Instance, a []uint64) {
	a[0] = i.give(i.stream.x.Request().Version.String(), a[0], a[1])
}

// getSourceAddr gives the client's address and port.
func getSourceAddr(i *Instance, a []uint64) {
	v, _ := i.stream.x.Property("source\x00address")
	a[0] = i.give(v.Text, a[0], a[1])
}

// getStatusCode is what handle_request has set, and in handle_response the response's.
func getStatusCode(i *Instance, a []uint64) {
	s := i.stream
	status := s.made.status
	if s.phase == answering && !s.ending {
		status = s.x.Response().Status
	}
	if status == 0 {
		status = 200
	}
	a[0] = uint64(status)
}

func setStatusCode(i *Instance, a []uint64) {
	s, status := i.stream, int(uint32(a[0]))
	if status < 200 || status > 599 {
		panic(fmt.Errorf("set_status_code with %d", status))
	}
	if s.phase == asking {
		s.made.status = status
		return
	}
	s.writable(kindResponse, 0)
	if !s.ending {
		s.x.Response().Status = status
	}
}
