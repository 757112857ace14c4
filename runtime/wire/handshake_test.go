package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/mpm"
)

// chunk is a Socket that has nothing but what it is given.
type chunk struct {
	got  []byte
	end  error
	sent []byte
}

func (c *chunk) Readable() bool { return len(c.got) > 0 || c.end != nil }
func (c *chunk) Writable() bool { return true }
func (c *chunk) Read(p []byte) (int, error) {
	if len(c.got) == 0 {
		if c.end != nil {
			return 0, c.end
		}
		return 0, mpm.ErrAgain
	}
	n := copy(p, c.got)
	c.got = c.got[n:]
	return n, nil
}

func (c *chunk) Writev(a, b []byte) (int, error) {
	c.sent = append(append(c.sent, a...), b...)
	return len(a) + len(b), nil
}

// catch is the other end of a client that a test wants the first flight of.
type catch struct {
	net.Conn
	flight []byte
}

func (c *catch) Write(p []byte) (int, error)      { c.flight = append(c.flight, p...); return len(p), nil }
func (c *catch) Read([]byte) (int, error)         { return 0, io.EOF }
func (c *catch) Close() error                     { return nil }
func (c *catch) SetWriteDeadline(time.Time) error { return nil }

// clientHello is what a client says first.
func clientHello(c *tls.Config) []byte {
	var k catch
	tls.Client(&k, c).Handshake()
	return k.flight
}

// until waits for goroutines that are about to end.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
	}
}

// TestR78Abandoned: half-done handshakes that are given up leave no goroutine, whichever way they end; and what never was a whole record
// has none.
func TestR78Abandoned(t *testing.T) {
	before := runtime.NumGoroutine()
	hello := clientHello(clientConfig())
	h := new(Handshakes)
	const many = 1000
	streams := make([]*Stream, many)
	for i := range streams {
		s := new(Stream)
		s.Server(serverConfig(0), h)
		c := &chunk{got: hello}
		if i%2 == 1 {
			c.got = hello[:len(hello)-1]
		}
		if done, waiting, err := s.Handshake(c, &woken{}, 1, scratch); done || waiting || err != nil {
			t.Fatal(done, waiting, err)
		}
		if answered := len(c.sent) > 0; answered != (i%2 == 0) {
			t.Fatalf("%d: answered is %v", i, answered)
		}
		streams[i] = s
	}
	if got := h.Counts().InProgress; got != many/2 {
		t.Errorf("%d in progress", got)
	}
	if got := runtime.NumGoroutine() - before; got > many/2+1 {
		t.Errorf("%d goroutines", got)
	}
	for i, s := range streams {
		switch i % 4 {
		case 0, 1:
			s.Reset()
		case 2:
			s.Abandon(ErrTimeout)
			s.Reset()
		case 3:
			s.Handshake(&chunk{end: io.EOF}, &woken{}, 1, scratch)
		}
	}
	until(t, "goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
	got := h.Counts()
	if got.InProgress != 0 || got.Failed["stopped"] != many/2 || got.Failed["timeout"] != many/4 || got.Failed["closed"] != many/4 {
		t.Errorf("%+v", got)
	}
}

// TestR78Bound: no more handshakes are under way than may be; the others wait in line, are woken in its order as those before them end,
// and one that gives up leaves the line.
func TestR78Bound(t *testing.T) {
	hello := clientHello(clientConfig())
	h := &Handshakes{Most: 2}
	type one struct {
		s Stream
		c chunk
		w woken
	}
	var all [6]one
	step := func(i int) (waiting bool) {
		o := &all[i]
		done, waiting, err := o.s.Handshake(&o.c, &o.w, 1, scratch)
		if done || err != nil {
			t.Fatal(done, err)
		}
		return waiting
	}
	for i := range all {
		all[i].s.Server(serverConfig(0), h)
		all[i].c.got = hello
		if got := step(i); got != (i >= 2) {
			t.Errorf("%d waits: %v", i, got)
		}
	}
	if got := h.Counts(); got.InProgress != 2 || got.Waiting != 4 || got.Waited != 4 {
		t.Errorf("%+v", got)
	}
	if !step(2) || all[2].w.n != 0 {
		t.Error("2 is let in too early")
	}
	all[3].s.Reset()
	all[0].s.Reset()
	if all[2].w.n != 1 || step(2) || len(all[2].c.sent) == 0 {
		t.Error("2 is not let in")
	}
	all[4].w.n = 0
	all[2].s.Reset() // its own place goes on to the next
	if all[4].w.n != 1 || all[5].w.n != 0 {
		t.Error("4 is not next")
	}
	all[4].s.Reset() // before it has been told
	if all[5].w.n != 1 || step(5) {
		t.Error("5 is not next")
	}
	all[1].s.Reset()
	all[5].s.Reset()
	if got := h.Counts(); got.InProgress != 0 || got.Waiting != 0 {
		t.Errorf("%+v", got)
	}
}

// TestR78Stalled: while others wait, a handshake that is under way for long makes room; one that is not, or where nobody waits, goes on.
func TestR78Stalled(t *testing.T) {
	hello := clientHello(clientConfig())
	h := &Handshakes{Most: 2}
	type one struct {
		s Stream
		c chunk
		w woken
	}
	var all [5]one
	now := int64(1)
	step := func(i int) (waiting bool, err error) {
		o := &all[i]
		_, waiting, err = o.s.Handshake(&o.c, &o.w, now, scratch)
		return waiting, err
	}
	for i := range all {
		all[i].s.Server(serverConfig(0), h)
		all[i].c.got = hello
	}
	step(0)
	now += int64(StallTime) / 2
	step(1)
	now += int64(StallTime)
	if _, err := step(0); err != nil {
		t.Errorf("it must go though nobody waits: %v", err)
	}
	if waiting, err := step(2); waiting || err != nil || all[0].w.n != 1 || all[1].w.n != 0 {
		t.Errorf("no room for 2: %v, %v", waiting, err)
	}
	if _, err := step(0); err != ErrCrowded {
		t.Errorf("0 goes on: %v", err)
	}
	if waiting, err := step(3); waiting || err != nil || all[1].w.n != 1 {
		t.Errorf("no room for 3: %v, %v", waiting, err)
	}
	if waiting, err := step(4); !waiting || err != nil || all[2].w.n != 1 { // its own wake-up when it was let in
		t.Errorf("4 is let in: %v, %v", waiting, err)
	}
	all[1].s.Reset() // before it has been told
	if waiting, _ := step(4); !waiting {
		t.Error("1 had no place to give")
	}
	all[2].s.Reset()
	if waiting, err := step(4); waiting || err != nil {
		t.Errorf("4 is not let in: %v, %v", waiting, err)
	}
	all[3].s.Reset()
	all[4].s.Reset()
	if got := h.Counts(); got.InProgress != 0 || got.Waiting != 0 || got.Failed["crowded"] != 1 || got.Waited != 3 {
		t.Errorf("%+v", got)
	}
}

// TestR78Garbage: what does not begin as TLS does is refused at its first bytes, however few they are.
func TestR78Garbage(t *testing.T) {
	for text, want := range map[string]error{
		"G":                                    ErrPlainHTTP,
		"GET / HTTP/1.1\r\nHost: x\r\n":        ErrPlainHTTP,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n":         ErrPlainHTTP,
		"\x00":                                 ErrNotTLS,
		"\x16\x02":                             ErrNotTLS,
		"\x17\x03\x03\x00\x05hello":            ErrNotTLS,
		"\x80\x2e\x01\x00\x02":                 ErrNotTLS, // SSLv2
		"\x16\x03\x01\x00\x04abcd":             nil,       // TLS, and no hello
		"\x16\x03\x01\xff\xff":                 nil,       // a record longer than may be
		"\x16\x03\x01\x00\x04\x01\xff\xff\xff": nil,       // a message longer than may be
	} {
		h := new(Handshakes)
		var s Stream
		s.Server(serverConfig(0), h)
		done, _, err := s.Handshake(&chunk{got: []byte(text)}, &woken{}, 1, scratch)
		if done || err == nil || want != nil && err != want {
			t.Errorf("%q: %v, %v", text, done, err)
		}
		label := "garbage"
		if want == nil {
			label = "refused"
		}
		if got := h.Counts(); got.Failed[label] != 1 || got.InProgress != 0 {
			t.Errorf("%q: %v: %+v", text, err, got)
		}
		s.Reset()
	}
}

// fragments is a client's socket that cuts handshake records into records of n bytes.
type fragments struct {
	net.Conn
	n    int
	done bool
}

func (f *fragments) Write(p []byte) (int, error) {
	if f.done || p[0] != 22 {
		f.done = true
		return f.Conn.Write(p)
	}
	var out []byte
	body := p[recordHeader:]
	for len(body) > 0 {
		n := min(f.n, len(body))
		out = append(append(out, p[0], p[1], p[2], byte(n>>8), byte(n)), body[:n]...)
		body = body[n:]
	}
	f.done = true
	_, err := f.Conn.Write(out)
	return len(p), err
}

// TestR78Fragments: a hello in records of a byte each, and one of 60 KiB, are hellos like others; one that is longer is refused.
func TestR78Fragments(t *testing.T) {
	for _, c := range []struct {
		fragment, protocols int
		want                bool
	}{{1, 1, true}, {17, 1, true}, {1000, 240, true}, {16000, 240, true}, {16000, 300, false}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			f, there := pair(t, 65536)
			config := clientConfig()
			for i := range c.protocols - 1 {
				config.NextProtos = append(config.NextProtos, fmt.Sprintf("%0250d", i))
			}
			shaken := make(chan error, 1)
			go func() {
				err := tls.Client(&fragments{Conn: there, n: c.fragment}, config).Handshake()
				if err != nil {
					there.Close()
				}
				shaken <- err
			}()
			var s Stream
			s.Server(serverConfig(0), new(Handshakes))
			err := shake(f, &s)
			f.Close()
			if client := <-shaken; (err == nil) != c.want || c.want && client != nil {
				t.Errorf("server: %v, client: %v", err, client)
			}
			s.Reset()
		})
	}
}

// TestALPNMismatch: a client that wants only what the server does not speak is refused.
func TestALPNMismatch(t *testing.T) {
	config := clientConfig()
	config.NextProtos = []string{"imap"}
	refusal(t, serverConfig(0), config, "no application protocol", "refused")
}

// TestVersionMismatch: as is one whose versions are too old.
func TestVersionMismatch(t *testing.T) {
	old, config := serverConfig(0), clientConfig()
	old.MinVersion, config.MaxVersion = tls.VersionTLS13, tls.VersionTLS12
	refusal(t, old, config, "protocol version", "refused")
}

// TestClientRefuses: a client that does not trust the server says so, and is counted apart.
func TestClientRefuses(t *testing.T) {
	config := clientConfig()
	config.ServerName = "other.test"
	refusal(t, serverConfig(0), config, "other.test", "alert")
}

func refusal(t *testing.T, server, client *tls.Config, want, label string) {
	t.Helper()
	f, there := pair(t, 65536)
	told := make(chan error, 1)
	go func() {
		c := tls.Client(there, client)
		err := c.Handshake()
		told <- err
		there.Close()
	}()
	h := new(Handshakes)
	var s Stream
	s.Server(server, h)
	if err := shake(f, &s); err == nil {
		t.Error("the handshake is done")
	}
	if err := <-told; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the client sees %v", err)
	}
	if got := h.Counts(); got.Failed[label] != 1 {
		t.Errorf("%+v", got)
	}
	s.Reset()
}

// TestHandshakesByManyWorkers: a handshake may be stepped by another worker each time.
func TestHandshakesByManyWorkers(t *testing.T) {
	const workers, clients = 8, 64
	type job struct {
		f *fed
		s *Stream
	}
	queue, results := make(chan job, clients), make(chan error, clients)
	h := new(Handshakes)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			scratch := make([]byte, mpm.ScratchBytes)
			for j := range queue {
				done, _, err := j.s.Handshake(j.f, &woken{}, 1, scratch)
				switch {
				case done || err != nil:
					results <- err
				default:
					j.f.fill()
					queue <- j
				}
			}
		})
	}
	for i := range clients {
		f, there := pair(t, 100)
		s := new(Stream)
		s.Server(serverConfig(versions[i%2]), h)
		go tls.Client(there, clientConfig()).Handshake()
		queue <- job{f, s}
	}
	for range clients {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	close(queue)
	all.Wait()
	if got := h.Counts(); got.Full != clients || got.InProgress != 0 {
		t.Errorf("%+v", got)
	}
}

// TestResumed: a ticket is taken, in both versions, and counted.
func TestResumed(t *testing.T) {
	for _, version := range versions {
		h, server, client := new(Handshakes), serverConfig(version), clientConfig()
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			f, there := pair(t, 1000)
			ended := make(chan error, 1)
			var s Stream
			s.Server(server, h)
			go func() {
				if err := shake(f, &s); err != nil {
					ended <- err
					return
				}
				ended <- echo(f, &s)
			}()
			c := tls.Client(there, client)
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			c.CloseWrite()
			if err := <-ended; err != io.EOF {
				t.Error(err)
			}
			if got := s.TLS().DidResume; got != (i == 1) {
				t.Errorf("%s, %d: resumed is %v", tls.VersionName(version), i, got)
			}
		}
		if got := h.Counts(); got.Full != 1 || got.Resumed != 1 {
			t.Errorf("%+v", got)
		}
	}
}

// TestPanicInHandshake: a panic below the handshake comes out where the worker steps it, and the place is given back.
func TestPanicInHandshake(t *testing.T) {
	before := runtime.NumGoroutine()
	h := new(Handshakes)
	var s Stream
	s.Server(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("asked to") }}, h)
	func() {
		defer func() {
			if recover() != "asked to" {
				t.Error("no panic")
			}
		}()
		s.Handshake(&chunk{got: clientHello(clientConfig())}, &woken{}, 1, scratch)
	}()
	s.Reset()
	if got := h.Counts(); got.InProgress != 0 {
		t.Errorf("%+v", got)
	}
	until(t, "goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}

// TestResetByPeer: an error of the socket is the handshake's.
func TestResetByPeer(t *testing.T) {
	broken := errors.New("broken")
	var s Stream
	s.Server(serverConfig(0), new(Handshakes))
	if _, _, err := s.Handshake(&chunk{got: []byte{22, 3}}, &woken{}, 1, scratch); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Handshake(&chunk{end: broken}, &woken{}, 1, scratch); err != broken {
		t.Errorf("%v", err)
	}
}
