package server

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strings"

	"edge/filters"
	"edge/filters/message"
)

const http11 = message.HTTP11

// viaName is edge in Via (RFC 9110 section 7.6.3).
const viaName = "edge"

// makeID makes the request id: 128 random bits, in hex.
func (x *exchange) makeID(r *rand.PCG) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], r.Uint64())
	binary.LittleEndian.PutUint64(b[8:], r.Uint64())
	hex.Encode(x.id[:], b[:])
}

// forwarded says who the client is, in the fields that origins and filters read: what the client says of itself there is dropped,
// unless it is a trusted proxy, to whose words edge adds its own (U87).
func (x *exchange) forwarded() {
	h := &x.req.Header
	peer := x.conn.c.Peer().Addr()
	trusted := x.trusts(peer)
	if !trusted {
		h.DeleteFunc(func(name, _ string) bool { return speaksOfClient(name) })
	}
	if peer.IsValid() {
		x.addForwardedFor(peer)
	}
	if !h.Has("x-forwarded-proto") {
		h.Add("x-forwarded-proto", x.req.Scheme)
	}
	if !h.Has("x-forwarded-host") && x.req.Authority != "" {
		h.Add("x-forwarded-host", x.req.Authority)
	}
	if id := h.Value("x-request-id"); id != "" && len(id) == len(x.id) && trusted {
		copy(x.id[:], id)
	} else {
		h.Set("x-request-id", x.requestID())
	}
}

// addForwardedFor puts the peer behind what trusted proxies have said, on one line in their order.
func (x *exchange) addForwardedFor(peer netip.Addr) {
	h := &x.req.Header
	line := x.conn.local.line[:0]
	for i := range h.Len() {
		if name, value := h.At(i); name == forwardedFor && value != "" {
			line = append(append(line, value...), ", "...)
		}
	}
	line = peer.AppendTo(line)
	h.Set(forwardedFor, view(line))
	x.conn.local.line = line
}

const forwardedFor = "x-forwarded-for"

// findClient finds whom the request is from: the peer, or where that is a trusted proxy the right-most address of X-Forwarded-For that
// is not. What stands to the left of it anybody may have written; where a proxy has written no address, it is the client itself.
func (x *exchange) findClient() netip.Addr {
	client := x.conn.c.Peer().Addr()
	h := &x.req.Header
	for i := h.Len() - 1; i >= 0 && x.trusts(client); i-- {
		name, list := h.At(i)
		for name == forwardedFor && list != "" && x.trusts(client) {
			at := strings.LastIndexByte(list, ',')
			hop, ok := hopAddress(strings.Trim(list[at+1:], " \t"))
			if !ok {
				return client
			}
			client, list = hop, list[:max(at, 0)]
		}
	}
	return client
}

// hopAddress reads an element of X-Forwarded-For: an address, perhaps with a port.
func hopAddress(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// speaksOfClient says whether a field claims to say where a request comes from. An underscore counts as a hyphen: origins that are
// given fields as CGI variables cannot tell the two apart (RFC 3875 section 4.1.18).
func speaksOfClient(name string) bool {
	if strings.IndexByte(name, '_') >= 0 {
		name = strings.ReplaceAll(name, "_", "-")
	}
	switch name {
	case "forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "x-request-id":
		return true
	}
	return strings.HasPrefix(name, "x-forwarded-")
}

func (x *exchange) trusts(peer netip.Addr) bool {
	for _, p := range x.site.settings.Trusted {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// address is an attribute of a peer.
func address(a netip.AddrPort, name string) (filters.Value, bool) {
	if !a.IsValid() {
		return filters.Value{}, false
	}
	switch name {
	case "address":
		return text(a.String()), true
	case "port":
		return number(int64(a.Port())), true
	}
	return filters.Value{}, false
}

// requestID is a view of the exchange: valid as long as the request is.
func (x *exchange) requestID() string { return view(x.id[:]) }

// via adds edge to the message's Via.
func via(h *message.Fields, v message.Version) {
	switch v {
	case message.HTTP10:
		h.Add("via", "1.0 "+viaName)
	case message.HTTP2:
		h.Add("via", "2 "+viaName)
	default:
		h.Add("via", "1.1 "+viaName)
	}
}

// viaHops counts how often edge is in Via.
func viaHops(h *message.Fields) (n int) {
	for i := range h.Len() {
		if name, value := h.At(i); name == "via" {
			n += strings.Count(value, " "+viaName)
		}
	}
	return n
}
