package proc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// FreeAddr returns a loopback address nobody listens on. The host part is random within 127.0.0.0/8 and the port lies below
// the kernel's range of client ports, so two test processes do not meet, nor does a client's own port take it.
func FreeAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.%d.%d.%d:%d", 1+rand.IntN(250), 1+rand.IntN(250), 1+rand.IntN(250), 20000+rand.IntN(10000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("no free loopback address")
}

// WaitListening waits until addr ("host:port", or "unix:path") accepts connections. It gives up when the child ends or
// after limit.
func WaitListening(c *Child, addr string, limit time.Duration) error {
	network := "tcp"
	if len(addr) > 5 && addr[:5] == "unix:" {
		network, addr = "unix", addr[5:]
	}
	deadline := time.After(limit)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := net.DialTimeout(network, addr, limit)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.Done():
			return fmt.Errorf("%s ended before it listened on %s: %v\n%s", c.name, addr, c.err, c.Log.Tail(4000))
		case <-deadline:
			return fmt.Errorf("%s does not listen on %s after %v: %w\n%s", c.name, addr, limit, ErrTimeout, c.Log.Tail(4000))
		case <-retry.C:
		}
	}
}
