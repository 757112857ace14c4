package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/filters"
	"edge/mpm"
	"edge/runtime/certs"
	"edge/runtime/wire"
)

// secureDial shakes hands and returns the connection, or the handshake's error.
func secureDial(t testing.TB, addr string, config *tls.Config) (*peer, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	s := tls.Client(c, config)
	return newPeer(t, s), s.Handshake()
}

var anyServer = &tls.Config{InsecureSkipVerify: true}

// mustDial is secureDial where it must do.
func mustDial(t testing.TB, addr string, config *tls.Config) *peer {
	t.Helper()
	p, err := secureDial(t, addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// entryFor is that of a listener with certificates for these lists of names; the first of each names it.
func entryFor(t *testing.T, ca *pki.Authority, lists ...[]string) (*Entry, []certs.Source) {
	t.Helper()
	dir := t.TempDir()
	var sources []certs.Source
	for _, list := range lists {
		cert, key := ca.Leaf(list...).Write(t, dir, list[0])
		sources = append(sources, certs.Source{Name: list[0], Certificate: cert, Key: key})
	}
	return entryOfSources(t, sources), sources
}

func entryOfSources(t *testing.T, sources []certs.Source) *Entry {
	t.Helper()
	store, errs := certs.Open(sources, time.Now, nil)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range sources {
		list = append(list, s.Name)
	}
	return &Entry{Handshakes: new(wire.Handshakes), Certificates: store.Set(list, certs.Options{
		Protocols: []string{"http/1.1"}, MinVersion: tls.VersionTLS12, Tickets: certs.NewTickets(certs.NewSeed(time.Now()), time.Now),
	})}
}

// TestT42Misdirected: a host that another certificate is for gets 421, and the connection stays.
func TestT42Misdirected(t *testing.T) {
	ca := pki.New(t, "ca")
	entry, _ := entryFor(t, ca, []string{"a.test", "also-a.test"}, []string{"b.test"})
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry})
	p := mustDial(t, b.addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test"})
	for _, c := range []struct {
		host   string
		status int
	}{
		{"a.test", 200}, {"A.Test:8443", 200}, {"also-a.test", 200}, {"b.test", 421}, {"b.test:443", 421}, {"unknown.test", 200}, {"a.test", 200},
	} {
		p.say("GET / HTTP/1.1\r\nHost: ", c.host, "\r\n\r\n")
		p.want("GET", c.status, "*")
	}
	p.say("GET https://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n")
	p.want("GET", 421, "*")
	p = mustDial(t, b.addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "b.test"})
	p.say("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	p.want("GET", 421, "*")
	p.say("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
	p.want("GET", 200, "hello")
	if old := b.server.SetSite(siteOf("new")); !within(patience, func() bool { return closed(old.Bound()) }) {
		t.Error("the site waits for the filters of requests that had none")
	}
}

// TestStopAfterHandshakeP5: who has shaken hands and not asked yet when the engine stops may still ask; who has asked before and is idle is
// sent away.
func TestStopAfterHandshakeP5(t *testing.T) {
	ca := pki.New(t, "ca")
	entry, _ := entryFor(t, ca, []string{"a.test"})
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry})
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test"}
	idle, newcomer := mustDial(t, b.addr, config), mustDial(t, b.addr, config)
	idle.say(get)
	idle.want("GET", 200, "hello")
	if !within(patience, func() bool { return b.engine.Load().Phases[mpm.PhaseKeepAlive] == 2 }) {
		t.Fatalf("phases are %v", b.engine.Load().Phases)
	}
	drained := make(chan error)
	go func() { drained <- b.engine.Drain(t.Context()) }()
	idle.closed()
	idle.Close()
	newcomer.say(get)
	if r := newcomer.want("GET", 200, "hello"); !r.Close {
		t.Error("the last answer does not say so")
	}
	newcomer.closed()
	newcomer.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestTLSProperties: what a filter learns of the connection.
func TestTLSProperties(t *testing.T) {
	ca, clients := pki.New(t, "ca"), pki.New(t, "clients")
	_, sources := entryFor(t, ca, []string{"a.test"})
	sources[0].ClientCA, sources[0].Auth = filepath.Join(t.TempDir(), "ca.pem"), certs.AuthOptional
	pki.Put(t, sources[0].ClientCA, clients.PEM())
	paths := []string{
		"mtls", "tls_version", "requested_server_name", "subject_peer_certificate", "dns_san_peer_certificate", "uri_san_peer_certificate",
		"sha256_peer_certificate_digest",
	}
	f := &fake{name: "f", wants: filters.OnRequestHead, head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
		var said []string
		for _, path := range append(paths, "none") {
			v, ok := x.Property("connection\x00" + path)
			if ok {
				said = append(said, fmt.Sprintf("%s=%s%d", path, v.Text, v.Num))
			}
		}
		scheme, _ := x.Property("request\x00scheme")
		x.Respond(&filters.Reply{Status: 200, Body: []byte(scheme.Text + " " + strings.Join(said, " "))})
		return filters.Continue
	}}
	entry := entryOfSources(t, sources)
	b := grow(t, plot{routes: []Route{{Name: "r", Filters: []filters.Filter{f}, Action: fixed("").Action}}, entry: entry})
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", MaxVersion: tls.VersionTLS12}
	p := mustDial(t, b.addr, config)
	p.say("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	p.want("GET", 200, "https mtls=0 tls_version=TLSv1.20 requested_server_name=a.test0")
	alice := clients.Leaf("alice", "alice.test", "spiffe://test/alice")
	config = &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", Certificates: []tls.Certificate{alice.TLS},
		ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	sum := sha256.Sum256(alice.TLS.Certificate[0])
	for range 2 { // the second resumes
		p = mustDial(t, b.addr, config)
		p.say("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		p.want("GET", 200, "https mtls=1 tls_version=TLSv1.30 requested_server_name=a.test0 subject_peer_certificate=CN=alice,O=test0 "+
			"dns_san_peer_certificate=alice0 uri_san_peer_certificate=spiffe://test/alice0 sha256_peer_certificate_digest="+hex.EncodeToString(sum[:])+"0")
	}
	if got := entry.Handshakes.Counts(); got.Resumed != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBigBodies: bodies of any size come through both ways, written in any pieces, by both versions.
func TestBigBodies(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			b := grow(t, plot{servers: []string{origin(t, func(c *peer, _ int) {
				c.head()
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
				io.CopyN(c, c.in, 5_000_000)
			})}, entry: secureEntry(t)})
			p := mustDial(t, b.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			p.SetDeadline(time.Now().Add(30 * time.Second))
			body := make([]byte, 5_000_000)
			r := rand.NewChaCha8([32]byte{1})
			r.Read(body)
			go func() {
				p.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
				for rest := body; len(rest) > 0; {
					n := min(len(rest), 1+int(r.Uint64()%100_000))
					if _, err := p.Conn.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			}()
			if _, got, err := p.answer("POST"); err != nil || got != string(body) {
				t.Fatalf("%d bytes came back, %v", len(got), err)
			}
		})
	}
}

// TestFileOverTLS: a file that the kernel cannot send is read and encrypted.
func TestFileOverTLS(t *testing.T) {
	const size = 3_000_001
	b := grow(t, plot{routes: []Route{fileRoute(t, size)}, entry: secureEntry(t), keepFiles: true})
	p := mustDial(t, b.addr, anyServer)
	for range 3 {
		p.say("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
		if r, body, err := p.answer("GET"); err != nil || r.StatusCode != 200 || len(body) != size {
			t.Fatalf("%v, %d bytes, %v", r, len(body), err)
		}
	}
}

// TestIdleCloseNotify: an idle connection that ends, at its timeout or because the engine stops, ends by TLS's word.
func TestIdleCloseNotify(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: secureEntry(t), options: func(o *Options) { o.KeepaliveTimeout = 60 * time.Millisecond }})
	p := mustDial(t, b.addr, anyServer)
	p.say(get)
	p.want("GET", 200, "hello")
	p.closed() // crypto/tls tells an end from a cut: the latter is io.ErrUnexpectedEOF
	p = mustDial(t, b.addr, anyServer)
	p.say("GET / HTTP/1.0\r\n\r\n")
	p.want("GET", 200, "hello")
	p.closed()
}

// TestR78HandshakeTimeout: a handshake that does not get on ends when its time is over, whatever it has reached; bytes do not move that.
func TestR78HandshakeTimeout(t *testing.T) {
	entry := secureEntry(t)
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry, options: func(o *Options) { o.HandshakeTimeout = 100 * time.Millisecond }})
	hello := helloOf(t)
	for _, c := range []struct {
		name string
		say  []byte
	}{{"a byte", hello[:1]}, {"half a hello", hello[:len(hello)/2]}, {"a hello", hello}} {
		p := newPeer(t, dialTCP(t, b.addr))
		began := time.Now()
		p.Conn.Write(c.say)
		io.Copy(io.Discard, p.Conn)
		if took := time.Since(began); took > patience-time.Second {
			t.Errorf("%s: it took %v", c.name, took)
		}
	}
	p := newPeer(t, dialTCP(t, b.addr))
	for i, err := 0, error(nil); err == nil; i++ {
		if i == len(hello) {
			t.Fatal("all of it was taken")
		}
		_, err = p.Conn.Write(hello[i : i+1])
		time.Sleep(time.Millisecond)
	}
	if !within(patience, func() bool { return entry.Handshakes.Counts().Failed["timeout"] == 4 }) {
		t.Errorf("%+v", entry.Handshakes.Counts())
	}
}

// dialTCP is a connection without TLS.
func dialTCP(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// helloOf is a client's first flight.
func helloOf(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(near, anyServer).Handshake()
	buf := make([]byte, 4096)
	n, err := far.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	return buf[:n]
}

// TestR78Flood: clients that begin handshakes and leave them hold no more goroutines than may be, and the others get their turn.
func TestR78Flood(t *testing.T) {
	const bound, flood = 8, 200
	entry := secureEntry(t)
	entry.Handshakes.Most = bound
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry, options: func(o *Options) { o.HandshakeTimeout = 300 * time.Millisecond }})
	hello := helloOf(t)
	before := runtime.NumGoroutine()
	for range flood {
		dialTCP(t, b.addr).Write(hello)
	}
	if !within(patience, func() bool {
		c := entry.Handshakes.Counts()
		return c.InProgress == bound && c.Waiting == flood-bound || c.Failed["timeout"] > 0
	}) {
		t.Errorf("%+v", entry.Handshakes.Counts())
	}
	if n := runtime.NumGoroutine() - before; n > bound {
		t.Errorf("%d goroutines", n)
	}
	if !within(patience, func() bool { return entry.Handshakes.Counts().Failed["timeout"] == flood }) {
		t.Errorf("%+v", entry.Handshakes.Counts())
	}
	if !within(patience, func() bool { // a busy machine may be too slow for so short a timeout
		p, err := secureDial(t, b.addr, anyServer)
		if err == nil {
			p.say(get)
			p.want("GET", 200, "hello")
		}
		return err == nil
	}) {
		t.Error("nobody is served")
	}
	if !within(patience, func() bool { c := entry.Handshakes.Counts(); return c.InProgress == 0 && c.Waiting == 0 }) {
		t.Errorf("%+v", entry.Handshakes.Counts())
	}
}

// TestWaitingHandshakes: those that wait for their turn get it.
func TestWaitingHandshakes(t *testing.T) {
	const many = 40
	entry := secureEntry(t)
	entry.Handshakes.Most = 1
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: entry})
	done := make(chan error, many)
	for range many {
		c := dialTCP(t, b.addr)
		c.SetDeadline(time.Now().Add(patience))
		go func() { done <- tls.Client(c, anyServer).Handshake() }()
	}
	for range many {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if !within(patience, func() bool {
		got := entry.Handshakes.Counts()
		return got.Full == many && got.InProgress == 0 && got.Waiting == 0
	}) {
		t.Errorf("%+v", entry.Handshakes.Counts())
	}
}

// TestR78NotTLS: other protocols on a TLS port end at once, and HTTP is told why.
func TestR78NotTLS(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: secureEntry(t)})
	p := newPeer(t, dialTCP(t, b.addr))
	p.say(get)
	p.want("GET", 400, "400 This port speaks TLS only\n")
	p.closed()
	p = newPeer(t, dialTCP(t, b.addr))
	began := time.Now()
	p.say("\x05\x01\x00") // SOCKS
	p.closed()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v", took)
	}
}

// TestAlertReachesClient: who is refused learns why.
func TestAlertReachesClient(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: secureEntry(t)})
	_, err := secureDial(t, b.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"imap"}})
	if err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("%v", err)
	}
}

// corked holds back what a client says after its hello, until it is released.
type corked struct {
	net.Conn
	said    bool
	held    []byte
	release bool
}

func (k *corked) Write(p []byte) (int, error) {
	if k.said && !k.release {
		k.held = append(k.held, p...)
		return len(p), nil
	}
	_, err := k.Conn.Write(append(k.held, p...))
	k.said, k.held = true, nil
	return len(p), err
}

// TestRequestBehindFinished: a request in the same segment as the last of the handshake is not overlooked.
func TestRequestBehindFinished(t *testing.T) {
	b := grow(t, plot{routes: []Route{fixed("hello")}, entry: secureEntry(t)})
	for range 20 {
		k := &corked{Conn: dialTCP(t, b.addr)}
		k.SetDeadline(time.Now().Add(patience))
		c := tls.Client(k, anyServer)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, c)
		k.release = true
		p.say(get)
		p.want("GET", 200, "hello")
	}
}

// TestIdleTLSMemory: a connection over TLS that has had a request and is idle costs at most idleTLSBudget of heap, the engine's part and
// crypto/tls's included.
func TestIdleTLSMemory(t *testing.T) {
	const idleTLSBudget = 12 << 10
	n := 2000
	if testing.Short() {
		n = 200
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			b := grow(t, plot{routes: []Route{fixed("hello")}, entry: secureEntry(t), keepFiles: true,
				options: func(o *Options) { o.KeepaliveTimeout = time.Minute }})
			ends := make([]bare, 0, n)
			t.Cleanup(func() {
				for _, c := range ends {
					c.Close()
				}
			})
			config := &tls.Config{InsecureSkipVerify: true, MaxVersion: version}
			open := func() {
				end := bareDial(t, b.addr)
				ends = append(ends, end)
				c := tls.Client(end, config)
				buf := make([]byte, 1000)
				if _, err := c.Write([]byte(get)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(buf); err != nil || !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 ")) {
					t.Fatalf("%q, %v", buf, err)
				}
			}
			for range 100 {
				open()
			}
			idle := func() bool { return b.engine.Load().Phases[mpm.PhaseKeepAlive] == len(ends) }
			within(patience, idle)
			before := heap()
			for range n - 100 {
				open()
			}
			if !within(patience, idle) {
				t.Fatalf("phases %v", b.engine.Load().Phases)
			}
			each := int64(heap()-before) / int64(n-100)
			t.Logf("%d idle connections: %d bytes of heap each", n, each)
			if each > idleTLSBudget {
				t.Errorf("%d bytes a connection, at most %d", each, idleTLSBudget)
			}
		})
	}
}

// bare is a connection of which the test process keeps nothing but the descriptor.
type bare int

func bareDial(t testing.TB, addr string) bare {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bare(fd)
}

func (b bare) Read(p []byte) (int, error)       { return syscall.Read(int(b), p) }
func (b bare) Write(p []byte) (int, error)      { return syscall.Write(int(b), p) }
func (b bare) Close() error                     { return syscall.Close(int(b)) }
func (b bare) LocalAddr() net.Addr              { return nil }
func (b bare) RemoteAddr() net.Addr             { return nil }
func (b bare) SetDeadline(time.Time) error      { return nil }
func (b bare) SetReadDeadline(time.Time) error  { return nil }
func (b bare) SetWriteDeadline(time.Time) error { return nil }
