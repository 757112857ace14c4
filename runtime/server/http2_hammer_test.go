package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"edge/filters"
)

// TestHTTP2Hammer has clients do at random what clients may do, and some of what they may not, beside a filter that pauses at random and
// an origin that answers, dawdles, breaks off and hangs up. No handler panics, the canary is always answered, and nothing is left:
// connections, descriptors, goroutines (the bed looks).
func TestHTTP2Hammer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	pause := restless()
	canary := fixed("canary")
	canary.Match.Path = "/canary"
	b := grow(t, plot{entry: entry2(t), servers: []string{origin(t, moody)}, options: func(o *Options) {
		o.Timeout, o.HeaderTimeout = 300*time.Millisecond, 300*time.Millisecond
	}, routes: []Route{canary, {Name: "app", Filters: []filters.Filter{pause}}}})
	length := 2 * time.Second
	if testing.Short() {
		length /= 10
	}
	end := time.Now().Add(length)
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			for time.Now().Before(end) {
				hammer(t, b.addr, rnd)
			}
		})
	}
	client := client2(t)
	for time.Now().Before(end) {
		resp, err := client.Get("http://" + b.addr + "/canary")
		if err != nil {
			t.Errorf("the canary: %v", err)
			break
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "canary" || err != nil {
			t.Errorf("the canary: %q, %v", body, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	all.Wait()
	client.CloseIdleConnections()
	if !within(patience, func() bool { return b.engine.Load().Connections == 0 }) {
		t.Errorf("connections stay: %v", b.engine.Load().Phases)
	}
}

// restless is a filter that pauses at random. A stream is let go by others only while it lives, as the contract has it.
func restless() *fake {
	var mu sync.Mutex
	lives := map[filters.Exchange]*bool{}
	release := func(x filters.Exchange, d filters.Direction) func() {
		mu.Lock()
		defer mu.Unlock()
		live := lives[x]
		if live == nil {
			live = new(bool)
			lives[x] = live
		}
		*live = true
		return func() {
			mu.Lock()
			defer mu.Unlock()
			if *live {
				x.Continue(d)
			}
		}
	}
	return &fake{name: "pause", wants: filters.OnRequestHead | filters.OnResponseHead,
		head: func(x filters.Exchange, d filters.Direction, _ bool) filters.Action {
			switch rand.IntN(4) {
			case 0:
				go release(x, d)()
				return filters.Pause
			case 1:
				time.AfterFunc(time.Duration(rand.IntN(5))*time.Millisecond, release(x, d))
				return filters.Pause
			}
			return filters.Continue
		},
		close: func(x filters.Exchange) bool {
			mu.Lock()
			defer mu.Unlock()
			if live := lives[x]; live != nil {
				*live = false
				delete(lives, x)
			}
			return true
		},
	}
}

// moody is an origin that does not always answer, or not to the end.
func moody(c *peer, _ int) {
	for {
		r, err := http.ReadRequest(c.in)
		if err != nil {
			return
		}
		if rand.IntN(10) == 0 {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		size := rand.IntN(100) * rand.IntN(3000)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		if rand.IntN(10) == 0 {
			size /= 2
		}
		for size > 0 {
			n := min(size, 1+rand.IntN(20000))
			if _, err := c.Write(make([]byte, n)); err != nil {
				return
			}
			if size -= n; rand.IntN(5) == 0 {
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			}
		}
	}
}

// hammer is one connection.
func hammer(t *testing.T, addr string, rnd *rand.Rand) {
	f := dial2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(rnd.IntN(100000))})
	defer f.Close()
	f.WriteWindowUpdate(0, 1<<24)
	reads := make(chan struct{})
	go func() { // what comes back
		defer close(reads)
		for {
			if _, err := f.Framer.ReadFrame(); err != nil {
				return
			}
		}
	}()
	next, ops := uint32(1), rnd.IntN(60)
	stream := func() uint32 { return uint32(rnd.IntN(int(next)+1)) | 1 }
	for range ops {
		switch rnd.IntN(14) {
		case 0, 1, 2, 3:
			f.ask(next, true, get2("/")...)
			next += 2
		case 4, 5:
			f.ask(next, false, post2("/", "priority", fmt.Sprintf("u=%d, i", rnd.IntN(8)))...)
			next += 2
		case 6, 7:
			f.WriteData(max(1, next-2), rnd.IntN(3) == 0, make([]byte, rnd.IntN(9000)))
		case 8:
			f.WriteRSTStream(max(1, next-2), http2.ErrCodeCancel)
		case 9:
			f.WriteWindowUpdate(max(1, next-2), uint32(1+rnd.IntN(50000)))
		case 10:
			f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(rnd.IntN(200000))})
		case 11:
			f.WritePing(false, [8]byte{1})
		case 12:
			switch rnd.IntN(6) {
			case 0:
				f.WriteGoAway(0, http2.ErrCodeNo, nil)
			case 1:
				f.ask(max(1, next-2), true, "x-trailer", "y")
			case 2:
				f.Write(make([]byte, rnd.IntN(20)))
			case 3:
				f.ask(next, rnd.IntN(2) == 0, append(get2("/"), "Upper", "x")...)
				next += 2
			case 4:
				f.WriteRSTStream(stream(), http2.ErrCodeCancel)
			case 5:
				f.ask(next, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/")
				next += 2
			}
		case 13:
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
		}
	}
	switch rnd.IntN(4) {
	case 0: // at once
	case 1:
		closeWrite(f.Conn)
		<-reads
	case 2:
		f.WriteGoAway(0, http2.ErrCodeNo, nil)
		<-reads
	case 3:
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
}
