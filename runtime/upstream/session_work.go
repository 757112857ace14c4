package upstream

import (
	"edge/mpm"
	"edge/runtime/http2"
)

// What a session does on a connection that is up: it opens streams, sends bodies, and reads.

// work moves what can be moved on a connection that is up. True: there is more than a turn's share.
func (s *Session) work(t *mpm.Turn) (again bool) {
	s.client.Turn(s.out, s.now)
	s.client.Expire()
	s.link.tls.Flush(s.link.sock)
	for taken := 0; ; {
		s.open()
		s.pump()
		s.release()
		n := s.read(t)
		if taken += n; n == 0 || s.state != sessionUp {
			break
		}
		if again = taken >= turnBytes; again {
			break
		}
	}
	s.spill(0)
	if s.state == sessionUp && s.link.tls.Failed() {
		s.fail(failure{cause: Closed, stale: s.served})
	}
	s.settle()
	return again
}

// open begins streams that wait, as many as the server takes.
func (s *Session) open() {
	n := 0
	for slots := s.client.Slots(); n < len(s.waiting) && n < slots && s.roomy(); n++ {
		s.begins(s.waiting[n])
	}
	if n > 0 {
		rest := copy(s.waiting, s.waiting[n:])
		clear(s.waiting[rest:])
		s.waiting = s.waiting[:rest]
	}
}

func (s *Session) begins(st *stream) {
	st.busy, st.opened = false, true
	st.mu.Lock()
	block, headOnly, end, wider := st.block, st.headOnly, st.headEnd, st.wider
	st.wider = 0
	st.mu.Unlock()
	st.movedAt.Store(s.now)
	switch {
	case !st.tunnel:
		s.client.Open(&st.s, block, headOnly, end)
	case s.client.Connects():
		s.client.OpenTunnel(&st.s, block)
	default:
		st.opened = false
		s.giveUp(st, failure{cause: NoTunnel, unseen: true})
		return
	}
	s.client.Widen(&st.s, wider)
	if !end {
		s.writes(st)
	}
}

// writes notes that a stream may have body to send.
func (s *Session) writes(st *stream) {
	if !st.busy && (st.sent < len(st.pending) || st.endSeen) && !st.s.Answered() {
		st.busy = true
		s.writers = append(s.writers, st)
	}
}

// highWater is the output beyond which nothing more is made for a server that does not take it.
const highWater = 64 << 10

func (s *Session) roomy() bool { return s.link.tls.Pending()+len(s.out.Dst) < highWater }

// pump sends bodies, as far as the server's windows and the socket let it.
func (s *Session) pump() {
	keep := s.writers[:0]
	for _, st := range s.writers {
		if st.busy = st.opened && !s.write(st); st.busy {
			keep = append(keep, st)
		}
	}
	clear(s.writers[len(keep):])
	s.writers = keep
}

// write sends what it can of one stream's body and says whether nothing is left to send.
func (s *Session) write(st *stream) (all bool) {
	for {
		if st.s.Gone() {
			return true
		}
		rest := st.pending[st.sent:]
		n := min(len(rest), st.s.Window())
		last := n == len(rest) && st.endSeen
		if n == 0 && !last {
			return len(rest) == 0
		}
		if !s.roomy() {
			s.spill(0)
			if !s.roomy() {
				return false
			}
		}
		n = min(n, highWater)
		last = last && n == len(rest)
		if n > 0 {
			st.s.Write(rest[:n], false)
			st.sent += n
			s.took(st, n)
		}
		if last {
			if st.s.WriteTail(st.tail); st.heard {
				s.finish(st)
			}
			return true
		}
		if st.sent == len(st.pending) {
			s.refill(st)
		}
	}
}

// took tells the leg that n bytes of its body are gone, where it may wait for that.
func (s *Session) took(st *stream, n int) {
	st.bodied = true
	st.movedAt.Store(s.now)
	if left := st.queued.Add(-int64(n)); left < HighWater && left+int64(n) >= HighWater {
		st.mu.Lock()
		st.tell()
	}
}

// refill takes what more of the body has come.
func (s *Session) refill(st *stream) {
	st.mu.Lock()
	st.pending, st.out, st.sent = st.out, st.pending[:0], 0
	st.endSeen = st.outEnd
	st.mu.Unlock()
}

// spill sends what is gathered, where it is more than so much.
func (s *Session) spill(least int) {
	if len(s.out.Dst) > least {
		s.link.tls.Send(s.link.sock, s.out.Dst, nil)
		s.out.Begin(s.out.Dst[:0])
	}
}

// read reads once and hands on what has come. Nothing is read while the server does not take what it has led to.
func (s *Session) read(t *mpm.Turn) (n int) {
	if !s.link.readable() || s.link.tls.Pending() >= highWater {
		return 0
	}
	data, err := s.link.tls.Read(s.link.sock, t.In)
	if err == mpm.ErrAgain {
		if s.link.sock.Ready()&mpm.Broken != 0 {
			s.fail(failure{cause: Closed, stale: s.served})
		}
		return 0
	}
	if err != nil {
		s.fail(failure{cause: Closed, stale: s.served})
		return 0
	}
	used, bad := 0, (*http2.Error)(nil)
	for more := true; more && bad == nil; more = s.client.More() {
		var n int
		n, bad = s.client.Feed(data[used:])
		used += n
		s.release()
	}
	s.link.tls.Keep(data[used:])
	if bad != nil {
		s.fail(failure{cause: BadResponse})
	}
	return len(data)
}
