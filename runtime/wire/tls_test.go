package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"edge/mpm"
)

const long = 30 * time.Second

// fed is a Socket over a blocking connection: it has what fill has read, and gives at most feed bytes of it at a time.
type fed struct {
	net.Conn
	t    testing.TB
	feed int
	got  []byte
	end  error
}

func (f *fed) Readable() bool { return len(f.got) > 0 || f.end != nil }
func (f *fed) Writable() bool { return true }

func (f *fed) Read(p []byte) (int, error) {
	if len(f.got) == 0 {
		if f.end != nil {
			return 0, f.end
		}
		return 0, mpm.ErrAgain
	}
	n := copy(p, f.got[:min(f.feed, len(f.got))])
	f.got = f.got[n:]
	return n, nil
}

func (f *fed) Writev(a, b []byte) (int, error) {
	n, err := f.Conn.Write(a)
	if err != nil || len(b) == 0 {
		return n, err
	}
	m, err := f.Conn.Write(b)
	return n + m, err
}

// fill waits for more bytes, or the end.
func (f *fed) fill() {
	if f.Readable() {
		return
	}
	buf := make([]byte, 64<<10)
	n, err := f.Conn.Read(buf)
	f.got, f.end = buf[:n], err
}

// woken counts.
type woken struct{ n int }

func (w *woken) Wake() { w.n++ }

// pair is two ends of a connection.
func pair(t testing.TB, feed int) (*fed, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{here, there} {
		c.SetDeadline(time.Now().Add(long))
		t.Cleanup(func() { c.Close() })
	}
	return &fed{Conn: here, t: t, feed: feed}, there
}

var scratch = make([]byte, mpm.ScratchBytes)

// shake steps a handshake until it is over.
func shake(f *fed, s *Stream) error {
	for {
		done, waiting, err := s.Handshake(f, &woken{}, 1, scratch)
		if done || err != nil {
			return err
		}
		if waiting {
			return errors.New("it waits for its turn")
		}
		f.fill()
	}
}

// echo sends back what comes until the end, which it returns.
func echo(f *fed, s *Stream) error {
	for {
		for s.Readable(f) {
			data, err := s.Read(f, scratch)
			if err == mpm.ErrAgain {
				continue
			}
			if err != nil {
				return err
			}
			s.Send(f, data[:len(data)/2], data[len(data)/2:])
			s.Keep(nil)
		}
		f.fill()
	}
}

var testCertificate = func() tls.Certificate {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edge.test"}, DNSNames: []string{"edge.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, _ = x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}()

func serverConfig(version uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testCertificate}, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}
}

func clientConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(testCertificate.Leaf)
	return &tls.Config{RootCAs: pool, ServerName: "edge.test", NextProtos: []string{"h2"}}
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// TestTLS: crypto/tls at the other end, blocking, both versions, bytes that come in any size: handshake, 64 KiB both ways at once, ALPN,
// and an end that each side says.
func TestTLS(t *testing.T) {
	for _, version := range versions {
		for _, feed := range []int{1, 7, 1000, 65536} {
			t.Run(fmt.Sprintf("%s in %d", tls.VersionName(version), feed), func(t *testing.T) {
				f, there := pair(t, feed)
				ended := make(chan error, 1)
				var s Stream
				h := new(Handshakes)
				s.Server(serverConfig(version), h)
				go func() {
					if err := shake(f, &s); err != nil {
						ended <- err
						return
					}
					err := echo(f, &s)
					s.Bye(f)
					ended <- err
				}()
				c := tls.Client(there, clientConfig())
				payload := make([]byte, 64<<10)
				rand.Read(payload)
				go func() {
					for at := 0; at < len(payload); at += 1111 {
						c.Write(payload[at:min(at+1111, len(payload))])
					}
				}()
				back := make([]byte, len(payload))
				if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(back, payload) {
					t.Fatalf("what came back differs: %v", err)
				}
				if got := c.ConnectionState(); got.Version != version || got.NegotiatedProtocol != "h2" {
					t.Errorf("version %x, protocol %q", got.Version, got.NegotiatedProtocol)
				}
				c.CloseWrite()
				if err := <-ended; err != io.EOF {
					t.Errorf("the end was %v", err)
				}
				if n, err := c.Read(back); n != 0 || err != io.EOF {
					t.Errorf("the client's end was %v", err)
				}
				if got := s.TLS(); got.ServerName != "edge.test" || got.Version != version {
					t.Errorf("%q, version %x", got.ServerName, got.Version)
				}
				if got := h.Counts(); got.Full != 1 || got.InProgress != 0 {
					t.Errorf("counts: %+v", got)
				}
			})
		}
	}
}

// TestTLSClient: the other role, against crypto/tls as a server that blocks.
func TestTLSClient(t *testing.T) {
	for _, version := range versions {
		for _, feed := range []int{1, 1000, 65536} {
			f, there := pair(t, feed)
			server := tls.Server(there, serverConfig(version))
			go func() {
				io.Copy(server, server)
				server.CloseWrite()
			}()
			var s Stream
			s.Client(clientConfig())
			if err := shake(f, &s); err != nil {
				t.Fatal(err)
			}
			if got := s.TLS(); got.NegotiatedProtocol != "h2" || got.Version != version {
				t.Errorf("%q, version %x", got.NegotiatedProtocol, got.Version)
			}
			payload := bytes.Repeat([]byte("0123456789"), 10_000)
			s.Send(f, payload[:50_000], nil)
			s.Send(f, nil, payload[50_000:])
			var back []byte
			for len(back) < len(payload) {
				f.fill()
				data, err := s.Read(f, scratch)
				if err != nil && err != mpm.ErrAgain {
					t.Fatal(err)
				}
				back = append(back, data...)
				s.Keep(nil)
			}
			if !bytes.Equal(back, payload) {
				t.Error("what came back differs")
			}
			s.Bye(f)
			for err := error(mpm.ErrAgain); err != io.EOF; _, err = s.Read(f, scratch) {
				if err != nil && err != mpm.ErrAgain {
					t.Fatal(err)
				}
				f.fill()
			}
		}
	}
}

// TestTLSUntrusted: a client does not talk to a server that it has no reason to trust, and says why.
func TestTLSUntrusted(t *testing.T) {
	f, there := pair(t, 65536)
	server := tls.Server(there, serverConfig(0))
	told := make(chan error, 1)
	go func() { told <- server.Handshake() }()
	var s Stream
	s.Client(&tls.Config{ServerName: "edge.test", RootCAs: x509.NewCertPool()})
	var unknown x509.UnknownAuthorityError
	if err := shake(f, &s); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
	if err := <-told; err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("the server was told %v", err)
	}
}

// TestLeftOverTLS: plaintext that is not consumed stands in front of what comes next.
func TestLeftOverTLS(t *testing.T) {
	f, there := pair(t, 65536)
	var s Stream
	s.Server(serverConfig(0), new(Handshakes))
	c := tls.Client(there, clientConfig())
	go func() {
		for _, b := range []byte("the quick brown fox") {
			c.Write([]byte{b})
		}
		c.CloseWrite()
	}()
	if err := shake(f, &s); err != nil {
		t.Fatal(err)
	}
	for {
		if !s.Readable(f) {
			f.fill()
		}
		data, err := s.Read(f, scratch)
		if err == io.EOF {
			if string(data) != "the quick brown fox" {
				t.Errorf("%q", data)
			}
			return
		}
		s.Keep(data)
		clear(scratch)
	}
}

// TestCloseNotifyIsReadable: the client's last word comes with its last bytes, and is there to be read although the socket has no more.
func TestCloseNotifyIsReadable(t *testing.T) {
	f, there := pair(t, 65536)
	var s Stream
	s.Server(serverConfig(0), new(Handshakes))
	c := tls.Client(there, clientConfig())
	go c.Handshake()
	if err := shake(f, &s); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("last"))
	c.CloseWrite()
	var got []byte
	for string(got) != "last" {
		f.fill()
		got, _ = s.Read(f, scratch)
	}
	for !s.Readable(f) {
		f.fill() // the alert was not in the same segment
		s.Read(f, scratch)
	}
	if _, err := s.Read(f, scratch); err != io.EOF {
		t.Errorf("%v", err)
	}
	if !s.Readable(f) {
		t.Error("the end cannot be read again")
	}
}

// TestTruncated: bytes that end without close_notify are not an end in order.
func TestTruncated(t *testing.T) {
	for _, cut := range []string{"between records", "within one"} {
		f, there := pair(t, 65536)
		var s Stream
		s.Server(serverConfig(0), new(Handshakes))
		c := tls.Client(there, clientConfig())
		go c.Handshake()
		if err := shake(f, &s); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("hello"))
		if cut == "within one" {
			there.Write([]byte{23, 3, 3, 0, 200, 1, 2, 3})
		}
		there.Close()
		if err := echo(f, &s); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", cut, err)
		}
	}
}

// TestBadRecord: what does not decrypt ends the stream with an alert.
func TestBadRecord(t *testing.T) {
	for name, record := range map[string][]byte{
		"not encrypted":   append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...),
		"longer than may": {23, 3, 3, 0xff, 0xff},
		"unknown type":    {99, 3, 3, 0, 1, 0},
	} {
		f, there := pair(t, 65536)
		var s Stream
		s.Server(serverConfig(0), new(Handshakes))
		c := tls.Client(there, clientConfig())
		go c.Handshake()
		if err := shake(f, &s); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x")) // the client's Finished is behind it
		there.Write(record)
		if err := echo(f, &s); err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", name, err)
		}
		c.Read(make([]byte, 10))
		if _, err := c.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "remote error") {
			t.Errorf("%s: the client sees %v", name, err)
		}
	}
}

// TestSendAfterBye: nothing can be sent behind the last word.
func TestSendAfterBye(t *testing.T) {
	f, there := pair(t, 65536)
	var s Stream
	s.Server(serverConfig(0), new(Handshakes))
	c := tls.Client(there, clientConfig())
	go c.Handshake()
	if err := shake(f, &s); err != nil {
		t.Fatal(err)
	}
	s.Send(f, []byte("one"), nil)
	s.Bye(f)
	s.Bye(f)
	if s.Failed() {
		t.Fatal("failed too early")
	}
	s.Send(f, []byte("two"), nil)
	if !s.Failed() {
		t.Error("nobody is told")
	}
	if got, err := io.ReadAll(c); string(got) != "one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAllocs: sending does not allocate; receiving does once a record, in crypto/tls.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f, there := pair(t, 65536)
	var s Stream
	s.Server(serverConfig(0), new(Handshakes))
	c := tls.Client(there, clientConfig())
	go c.Handshake()
	if err := shake(f, &s); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, there)
	head, body := make([]byte, 300), make([]byte, 20_000)
	if n := testing.AllocsPerRun(200, func() { s.Send(f, head, body) }); n > 0 {
		t.Errorf("%v allocations to send", n)
	}
	const runs = 200
	for range runs + 1 {
		c.Write(head)
	}
	var all []byte
	for len(all) < 1000 {
		buf := make([]byte, 64<<10)
		n, err := f.Conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buf[:n]...)
		if len(all) > (runs+1)*len(head) {
			break
		}
	}
	f.feed, f.got = 5, all // a record comes in many pieces, too
	reads := 0
	n := testing.AllocsPerRun(20, func() {
		if data, err := s.Read(f, scratch); err == nil {
			reads += len(data)
			s.Keep(nil)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations for a read of a part", n)
	}
	runtime.KeepAlive(reads)
}
