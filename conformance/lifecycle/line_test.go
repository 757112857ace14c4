package lifecycle

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// road is where a client connects to: over TLS where it has a configuration.
type road struct {
	addr string
	tls  *tls.Config
}

// dial connects, and returns the client's port, which is that of a connection that failed too.
func (r road) dial(protocol string) (net.Conn, int, error) {
	dialer := &net.Dialer{Timeout: patience}
	conn, err := dialer.Dial("tcp", r.addr)
	if err != nil {
		return nil, 0, err
	}
	port := conn.LocalAddr().(*net.TCPAddr).Port
	if r.tls == nil {
		return conn, port, nil
	}
	cfg := r.tls.Clone()
	cfg.NextProtos = []string{protocol}
	secure := tls.Client(conn, cfg)
	secure.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		conn.Close()
		return nil, port, err
	}
	secure.SetDeadline(time.Time{})
	return secure, port, nil
}

// ask is one request with what its answer has to be.
type ask struct {
	kind  string
	head  string                    // request line and fields, without the Host and the empty line
	body  func(w io.Writer) error   // or nil
	check func(r io.Reader) error   // of the answer's body
	slow  func(io.Reader) io.Reader // how the body is read; nil: at once
}

// line is a client over one connection at a time, which it keeps for as long as the server lets it. It is for one goroutine.
type line struct {
	j    *judge
	road road
	conn net.Conn
	r    *bufio.Reader
	port int
	used int // exchanges on this connection
}

// begin connects where the line is not; false: it could not.
func (l *line) begin(kind string) bool {
	if l.conn != nil {
		return true
	}
	conn, port, err := l.road.dial("http/1.1")
	if err != nil {
		if how := refused; !l.j.ended() {
			if port != 0 {
				how = reset
			}
			l.j.loses(how, kind, port, err)
		}
		return false
	}
	l.conn, l.r, l.port, l.used = conn, bufio.NewReader(conn), port, 0
	return true
}

// do does one exchange, and says whether it was as it should be.
func (l *line) do(a *ask) bool {
	if !l.begin(a.kind) {
		return false
	}
	l.conn.SetDeadline(time.Now().Add(patient))
	began, last, err := l.exchange(a)
	if err != nil {
		l.j.loses(howOf(err, !began && l.used > 0), a.kind, l.port, err)
		l.close()
		return false
	}
	l.used++
	l.conn.SetDeadline(time.Time{})
	if last {
		l.close()
	}
	l.j.did(a.kind)
	return true
}

// exchange sends the request and reads the answer: whether one began to come, and whether it said that it is the connection's last.
func (l *line) exchange(a *ask) (began, last bool, err error) {
	sent := make(chan error, 1)
	send := func() error {
		if _, err := io.WriteString(l.conn, a.head+"\r\nHost: edge.test\r\n\r\n"); err != nil || a.body == nil {
			return err
		}
		return a.body(l.conn)
	}
	if a.body == nil {
		if err := send(); err != nil {
			return false, false, err
		}
		sent <- nil
	} else {
		go func() { sent <- send() }()
	}
	answer, err := http.ReadResponse(l.r, nil)
	if err != nil {
		l.conn.SetDeadline(time.Now()) // ends the sending, if it still goes on
		return false, false, errors.Join(err, <-sent)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		l.conn.SetDeadline(time.Now())
		<-sent
		return true, false, fmt.Errorf("%w: %s %q", errStatus, answer.Status, text)
	}
	var body io.Reader = answer.Body
	if a.slow != nil {
		body = a.slow(body)
	}
	if err = a.check(body); err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	return true, answer.Close, errors.Join(err, <-sent)
}

// rest leaves the connection alone for a while, and looks whether the server does too.
func (l *line) rest(d time.Duration) {
	if l.conn == nil || d <= 0 {
		return
	}
	l.conn.SetReadDeadline(time.Now().Add(d))
	_, err := l.r.Peek(1)
	l.conn.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if err == nil {
		err = errors.New("bytes that nobody asked for")
	}
	l.j.loses(closed, "resting", l.port, err)
	l.close()
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// repeat has a client of its own do what next says, over and over, until the judge ends it.
func (j *judge) repeat(to road, keep bool, pause func() time.Duration, next func() *ask) {
	j.clients.Go(func() {
		l := &line{j: j, road: to}
		defer l.close()
		for !j.ended() {
			if !l.do(next()) {
				j.sleep(10 * time.Millisecond) // a server that is gone is not asked in a hot loop
			}
			if !keep {
				l.close()
			}
			if d := pause(); keep {
				for ; d > 0 && !j.ended() && l.conn != nil; d -= tick {
					l.rest(min(d, tick))
				}
			} else {
				j.sleep(d)
			}
		}
	})
}

// tick is how often one that rests looks whether it is to end.
const tick = 200 * time.Millisecond

func (j *judge) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-j.stop:
	}
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func between(low, high time.Duration) func() time.Duration {
	return func() time.Duration { return low + rand.N(high-low) }
}

// little asks for an answer that edge has itself, from a guest and a native filter: all its parts are of one version.
func little() *ask {
	return &ask{kind: "answers", head: "GET / HTTP/1.1", check: func(r io.Reader) error {
		body, err := io.ReadAll(r)
		if err == nil && !strings.HasPrefix(string(body), "v") {
			err = fmt.Errorf("%w: %q", errWrong, body)
		}
		return err
	}}
}

// upward sends a body of that size, in pieces with a pause after each, with its length said or in chunks; the origin says its sum.
func upward(size, pieces int, pause time.Duration, chunked bool) *ask {
	h := sha256.New()
	a := &ask{kind: "uploads of a length"}
	a.head = fmt.Sprintf("POST /up/sum HTTP/1.1\r\nContent-Length: %d", size)
	if chunked {
		a.kind, a.head = "uploads in chunks", "POST /up/sum HTTP/1.1\r\nTransfer-Encoding: chunked"
	}
	seed := rand.Uint64()
	a.body = func(w io.Writer) error {
		source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
		piece := make([]byte, size/pieces)
		for range pieces {
			source.Read(piece)
			h.Write(piece)
			data := piece
			if chunked {
				data = fmt.Appendf(nil, "%x\r\n%s\r\n", len(piece), piece)
			}
			if _, err := w.Write(data); err != nil {
				return err
			}
			time.Sleep(pause) // the client's pace
		}
		if chunked {
			_, err := io.WriteString(w, "0\r\n\r\n")
			return err
		}
		return nil
	}
	a.check = sumIs(h)
	return a
}

// sumIs holds an answer to be the sum of what was hashed, which is whole by then.
func sumIs(h hash.Hash) func(io.Reader) error {
	return func(r io.Reader) error {
		text, err := io.ReadAll(r)
		if want := hex.EncodeToString(h.Sum(nil)); err == nil && string(text) != want {
			err = fmt.Errorf("%w: the origin has the sum %q, not %s", errWrong, text, want)
		}
		return err
	}
}

// downward asks for a large body, and takes it slowly.
func downward(path string, pause time.Duration) *ask {
	return &ask{kind: "downloads of " + path, head: "GET " + path + " HTTP/1.1",
		slow: func(r io.Reader) io.Reader { return &pacedReader{r, pause} },
		check: func(r io.Reader) error {
			h := sha256.New()
			n, err := io.Copy(h, r)
			if err == nil && [32]byte(h.Sum(nil)) != largeSum {
				err = fmt.Errorf("%w: %d bytes with another sum", errWrong, n)
			}
			return err
		}}
}

// large is the body of downloads.
var (
	large    = func() []byte { b := make([]byte, 2<<20); rand.NewChaCha8([32]byte{1}).Read(b); return b }()
	largeSum = sha256.Sum256(large)
)

// pacedReader reads at most a piece at a time, each after a pause.
type pacedReader struct {
	r     io.Reader
	pause time.Duration
}

func (p *pacedReader) Read(b []byte) (int, error) {
	time.Sleep(p.pause) // the client's pace
	return p.r.Read(b[:min(len(b), 32<<10)])
}
