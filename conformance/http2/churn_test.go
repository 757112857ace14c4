package http2

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	h2 "golang.org/x/net/http2"

	"edge/conformance/rig"
)

// scale is n, or small where the tests are to be short or run under the race detector.
func scale(n, small int) int {
	if testing.Short() || rig.Race {
		return small
	}
	return n
}

// load5 is how much H5 is put to: all of it, a part where everything runs under the race detector, little where tests are to be short.
func load5(all, race, short int) int {
	switch {
	case testing.Short():
		return short
	case rig.Race:
		return race
	}
	return all
}

// TestH5Churn: connections of one request each, the client's GOAWAY right behind it, in one packet; some close their side at once too.
// No answer is lost, and each connection ends with our GOAWAY. A guest pauses the streams of some, so that the goodbye comes long before
// the answer.
func TestH5Churn(t *testing.T) {
	origin := fmt.Sprintf("[upstreams.app]\nservers = [%q]\n[[routes]]\nupstream = \"app\"\n", responder(t, rig.OK(hello)))
	for _, c := range []struct {
		name, listen, rest string
		n                  int
		dial               dialer
	}{
		{"respond", listen, helloRoute, load5(30000, 30000, 3000), dial},
		{"upstream", listen, origin, load5(30000, 15000, 3000), dial},
		{"guest", listen, guarded(t), load5(30000, 15000, 3000), dial},
		{"guest over TLS", secure, selfSigned + guarded(t), load5(6000, 1000, 300), dialTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: c.listen, Rest: c.rest})
			var lost, next atomic.Int64
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					for i := next.Add(1); i <= int64(c.n); i = next.Add(1) {
						if err := leave(c.dial, e.Addr, i%2 == 0); err != nil && lost.Add(1) < 5 {
							t.Errorf("connection %d: %v", i, err)
						}
					}
				})
			}
			all.Wait()
			if lost.Load() > 0 {
				t.Errorf("H5: %d of %d answers are lost", lost.Load(), c.n)
			}
		})
	}
}

// leave asks once and says goodbye right behind, in one packet; half says that it closes its side of the connection, too.
func leave(dial dialer, addr string, half bool) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.ask(1, true, "GET", "/hello")
	c.framer.WriteGoAway(0, h2.ErrCodeNo, nil)
	if err := c.flush(); err != nil {
		return err
	}
	if half {
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			return err
		}
	}
	o, err := c.read(nil)
	if err != nil {
		return err
	}
	if err := o.whole(1); err != nil {
		return err
	}
	if o.goaway == nil || o.goaway.ErrCode != h2.ErrCodeNo || o.goaway.LastStreamID != 1 {
		return errLost
	}
	return nil
}
