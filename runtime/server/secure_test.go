package server

import (
	"crypto/tls"
	switches "flag"
	"net"
	"testing"
	"time"

	"edge/runtime/certs"
	"edge/runtime/wire"
)

// overTLS has every test of this package talk to its bed over TLS: go test ./runtime/server -tls. Those that look at bytes or system
// calls below it are left out.
var overTLS = switches.Bool("tls", false, "talk to the server over TLS")

// beds are the addresses of beds, and whether they speak TLS.
var beds = map[string]bool{}

// secureEntry is that of a listener with one self-signed certificate; it speaks HTTP/1.1 where no protocols are named.
func secureEntry(t testing.TB, protocols ...string) *Entry {
	t.Helper()
	if len(protocols) == 0 {
		protocols = []string{"http/1.1"}
	}
	store, errs := certs.Open([]certs.Source{{Name: "main", Certificate: certs.SelfSigned}}, time.Now, nil)
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	tickets := certs.NewTickets(certs.NewSeed(time.Now()), time.Now)
	return &Entry{Handshakes: new(wire.Handshakes), Certificates: store.Set([]string{"main"}, certs.Options{
		Protocols: protocols, MinVersion: tls.VersionTLS12, Tickets: tickets,
	})}
}

// tcp is the socket below a connection.
func tcp(c net.Conn) *net.TCPConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*net.TCPConn)
}

// closeWrite ends what the connection sends, in order.
func closeWrite(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		t.CloseWrite()
	}
	tcp(c).CloseWrite()
}
