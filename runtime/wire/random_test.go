package wire

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"edge/mpm"
)

// pipe is one end of a connection in memory whose bytes come and go in pieces of random size.
type pipe struct {
	r    *rand.Rand
	in   []byte // arrived, not read
	way  []byte // sent, not arrived at the other end
	room int    // bytes that Writev takes before it says ErrAgain
	end  bool   // the other end has closed
}

func (p *pipe) Readable() bool { return len(p.in) > 0 || p.end }
func (p *pipe) Writable() bool { return p.room > 0 }

func (p *pipe) Read(b []byte) (int, error) {
	switch {
	case len(p.in) > 0:
		n := copy(b, p.in[:1+p.r.IntN(len(p.in))])
		p.in = p.in[n:]
		return n, nil
	case p.end:
		return 0, io.EOF
	}
	return 0, mpm.ErrAgain
}

func (p *pipe) Writev(a, b []byte) (int, error) {
	all := append(bytes.Clone(a), b...)
	n := min(len(all), p.room)
	p.way = append(p.way, all[:n]...)
	p.room -= n
	if n < len(all) {
		return n, mpm.ErrAgain
	}
	return n, nil
}

// carry has some of what is under way arrive.
func (p *pipe) carry(to *pipe) {
	n := p.r.IntN(len(p.way) + 1)
	to.in = append(to.in, p.way[:n]...)
	p.way = p.way[n:]
}

// side is a stream and what it says and hears.
type side struct {
	Stream
	pipe
	done  bool
	bye   bool
	says  []byte
	heard []byte
	err   error
}

// step does one random thing.
func (s *side) step(t *testing.T) {
	switch s.r.IntN(4) {
	case 0:
		s.room += s.r.IntN(3000)
		s.Flush(&s.pipe)
	case 1:
		if !s.done {
			var err error
			if s.done, _, err = s.Handshake(&s.pipe, &woken{}, 1, scratch); err != nil {
				t.Fatal(err)
			}
		}
	case 2:
		if s.done && s.Stream.Readable(&s.pipe) && s.err == nil {
			data, err := s.Stream.Read(&s.pipe, scratch)
			take := s.r.IntN(len(data) + 1)
			if err == io.EOF {
				take = len(data)
			}
			s.heard = append(s.heard, data[:take]...)
			s.Keep(data[take:])
			clear(scratch)
			if err != mpm.ErrAgain {
				s.err = err
			}
		}
	case 3:
		if !s.done || s.bye || s.Pending() > 100_000 {
			return
		}
		a, b := s.r.IntN(len(s.says)+1), 0
		if s.r.IntN(2) == 0 {
			a = min(a, 100)
		}
		b = s.r.IntN(len(s.says) - a + 1)
		s.Send(&s.pipe, s.says[:a], s.says[a:a+b])
		if s.says = s.says[a+b:]; len(s.says) == 0 {
			s.Bye(&s.pipe)
			s.bye = true
		}
	}
}

// TestRandom: whatever the sizes of reads and writes, whoever comes first, each side hears what the other says, to its end.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var server, client side
			server.r, client.r = r, r
			server.Server(serverConfig(versions[seed%2]), new(Handshakes))
			client.Client(clientConfig())
			texts := [2][]byte{}
			for i, s := range []*side{&server, &client} {
				s.says = make([]byte, r.IntN(200_000))
				for at := range s.says {
					s.says[at] = byte(r.Uint32())
				}
				texts[i] = s.says
			}
			steps := 0
			for ; server.err == nil || client.err == nil; steps++ {
				if steps > 200_000 {
					t.Fatalf("it stalls: %v %v, %d and %d bytes pending", server.err, client.err, server.Pending(), client.Pending())
				}
				server.step(t)
				client.step(t)
				server.carry(&client.pipe)
				client.carry(&server.pipe)
			}
			for i, s := range []*side{&client, &server} {
				if s.heard = append(s.heard, s.Unread()...); s.err != io.EOF || !bytes.Equal(s.heard, texts[i]) {
					t.Errorf("side %d: %d bytes of %d, %v", i, len(s.heard), len(texts[i]), s.err)
				}
			}
		})
	}
}
