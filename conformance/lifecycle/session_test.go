package lifecycle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	h2 "golang.org/x/net/http2"
)

// session is a client of HTTP/2 over one connection at a time, with several streams; a new connection takes the old one's place when that
// has said GOAWAY, and what is open on the old one goes on there.
type session struct {
	j    *judge
	road road

	mu   sync.Mutex // guards what follows
	now  *h2.ClientConn
	port int
}

// conn is the connection that takes the next stream.
func (s *session) conn() (*h2.ClientConn, int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		state := s.now.State()
		if !state.Closed && !state.Closing {
			return s.now, s.port, true
		}
		s.noticed(state)
	}
	conn, port, err := s.road.dial("h2")
	if err != nil {
		if how := refused; !s.j.ended() {
			if port != 0 {
				how = reset
			}
			s.j.loses(how, "session", port, err)
		}
		return nil, 0, false
	}
	t := &h2.Transport{AllowHTTP: true, DisableCompression: true}
	cc, err := t.NewClientConn(conn)
	if err != nil {
		conn.Close()
		s.j.loses(reset, "session", port, err)
		return nil, 0, false
	}
	s.now, s.port = cc, port
	return cc, port, true
}

// noticed holds a connection that has come to its end to having said so: the caller holds mu.
func (s *session) noticed(state h2.ClientConnState) {
	if state.Closed && !state.Closing {
		s.j.loses(closed, "session", s.port, errors.New("the connection ended without GOAWAY"))
	}
	s.now = nil
}

// do does one exchange on a stream, with a body to send or without.
func (s *session) do(kind, method, path string, body io.Reader, check func(io.Reader) error) bool {
	cc, port, ok := s.conn()
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "https://edge.test"+path, body)
	if err != nil {
		s.j.loses(wrong, kind, port, err)
		return false
	}
	answer, err := cc.RoundTrip(r)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "graceful shutdown GOAWAY"):
		s.j.did("streams beyond GOAWAY") // RFC 9113 6.8: the server has not touched it, and says so
		return true
	case strings.Contains(err.Error(), "client conn not usable"), strings.Contains(err.Error(), "client conn is closed"):
		return true // it has ended since conn looked, which looks at how the next time
	}
	if err == nil {
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%w: %s", errStatus, answer.Status)
		} else {
			err = check(answer.Body)
		}
	}
	if err != nil {
		s.j.loses(howOf(err, false), kind, port, err)
		return false
	}
	s.j.did(kind)
	return true
}

// streams has so many streams of one session ask for little, with a pause between two requests of a stream; one more uploads and another
// one downloads.
func (j *judge) streams(to road, n int, pause time.Duration) {
	s := &session{j: j, road: to}
	var all sync.WaitGroup
	loop := func(do func() bool) {
		all.Go(func() {
			for !j.ended() {
				if !do() {
					j.sleep(10 * time.Millisecond)
				}
				j.sleep(pause)
			}
		})
	}
	for range n {
		loop(func() bool { return s.do("streams", "GET", "/", nil, little().check) })
	}
	loop(func() bool {
		a := downward("/up/large", time.Millisecond)
		return s.do("streams of downloads", "GET", "/up/large", nil, func(r io.Reader) error { return a.check(a.slow(r)) })
	})
	loop(func() bool {
		h := sha256.New()
		h.Write(large[:256<<10])
		body := struct{ io.Reader }{&pacedReader{bytes.NewReader(large[:256<<10]), 20 * time.Millisecond}} // of no known length
		return s.do("streams of uploads", "POST", "/up/sum", body, sumIs(h))
	})
	j.clients.Go(func() {
		all.Wait()
		s.close()
	})
}

// idle has a session that speaks up now and then; it looks all the while whether the server keeps it.
func (j *judge) idle(to road, pause func() time.Duration) {
	j.clients.Go(func() {
		s := &session{j: j, road: to}
		defer s.close()
		for !j.ended() {
			s.do("streams after a rest", "GET", "/", nil, little().check)
			for d := pause(); d > 0 && !j.ended(); d -= tick {
				j.sleep(min(d, tick))
				s.mu.Lock()
				if s.now != nil {
					if state := s.now.State(); state.Closed {
						s.noticed(state)
					}
				}
				s.mu.Unlock()
			}
		}
	})
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.now.Close()
	}
}
