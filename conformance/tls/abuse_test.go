package tls

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edge/conformance/proc"
	"edge/conformance/rig"
)

// relay passes bytes between a client and addr in pieces of that size, and returns where the client is to go.
func relay(t *testing.T, addr string, size int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	t.Cleanup(func() { l.Close() })
	pass := func(to, from *net.TCPConn) {
		buffer := make([]byte, size)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				to.CloseWrite()
				return
			}
		}
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			go pass(far.(*net.TCPConn), near.(*net.TCPConn))
			go pass(near.(*net.TCPConn), far.(*net.TCPConn))
		}
	}()
	return l.Addr().String()
}

// talk is an openssl s_client that is spoken to line by line. A line of K has it change its key, and of k demand another's.
type talk struct {
	in  io.WriteCloser
	out *proc.Log
	end chan struct{} // closed when it has ended
}

// running says whether it has not ended yet.
func (k *talk) running() bool {
	select {
	case <-k.end:
		return false
	default:
		return true
	}
}

func openssl(t *testing.T, addr string, args ...string) *talk {
	t.Helper()
	cmd := exec.Command(find(t, "openssl"), append([]string{"s_client", "-connect", addr, "-servername", "a.test", "-crlf"}, args...)...)
	k := &talk{out: proc.NewLog(), end: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = k.out, k.out
	var err error
	k.in, err = cmd.StdinPipe()
	rig.Must(t, err)
	rig.Must(t, cmd.Start())
	go func() {
		cmd.Wait()
		close(k.end)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-k.end
	})
	return k
}

// say writes text and waits until want stands n times in what came back.
func (k *talk) say(t *testing.T, text, want string, n int) {
	t.Helper()
	io.WriteString(k.in, text)
	if !k.out.WaitFor(func(out string) bool { return strings.Count(out, want) >= n }, limit) {
		t.Fatalf("%q comes %d times after %q, want %d: %s", want, strings.Count(k.out.String(), want), text, n, k.out.Tail(2000))
	}
}

// TestOddSizes: whatever the sizes in which bytes pass, requests are answered, with changes of the keys by both sides between them.
func TestOddSizes(t *testing.T) {
	w := start(t, "", "", "")
	const get = "GET / HTTP/1.1\nHost: a.test\n\n"
	for _, size := range []int{1, 3, 7, 1000, 65536} {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			k := openssl(t, relay(t, w.Addr, size), version)
			k.say(t, get, "\r\n\r\nhello\n", 1)
			if version == "-tls1_3" {
				k.say(t, "K\n", "KEYUPDATE", 1)
				k.say(t, get, "\r\n\r\nhello\n", 2)
				k.say(t, "k\n", "KEYUPDATE", 2)
			}
			k.say(t, get, "\r\n\r\nhello\n", map[string]int{"-tls1_2": 2, "-tls1_3": 3}[version])
		}
	}
}

// TestR78KeyUpdates: a client that changes its key over and over, and sends nothing else, is sent away.
func TestR78KeyUpdates(t *testing.T) {
	w := start(t, "", "", "")
	k := openssl(t, w.Addr, "-tls1_3")
	for i := 0; i < 1000 && k.running(); i++ {
		if _, err := io.WriteString(k.in, "K\n"); err != nil {
			break
		}
		k.out.WaitFor(func(out string) bool { return strings.Count(out, "KEYUPDATE") > i || !k.running() }, time.Second)
	}
	if n := strings.Count(k.out.String(), "KEYUPDATE"); n < 16 || n > 200 || !rig.Eventually(limit, func() bool { return !k.running() }) {
		t.Errorf("after %d changes of its key it goes on: %s", n, k.out.Tail(1000))
	}
	w.WaitMetric("the violation", func(m rig.Metrics) bool { return m.Sum("edge_tls_violations_total") == 1 })
	if out, err := w.curl(t, "a.test", "/"); err != nil || out != "hello\n" {
		t.Errorf("afterwards: %v: %s", err, out)
	}
}

// hello is a ClientHello's records with a handshake message of n bytes, as many of them as there are.
func hello(n int, body []byte) (records []byte) {
	message := append([]byte{1, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	for len(message) > 0 {
		piece := message[:min(len(message), 16<<10)]
		message = message[len(piece):]
		records = append(append(records, 22, 3, 1, byte(len(piece)>>8), byte(len(piece))), piece...)
	}
	return records
}

// TestR78Garbage: bytes that are no handshake end their connection long before the handshake's time is over.
func TestR78Garbage(t *testing.T) {
	w := start(t, "handshake_timeout = \"20s\"\n", "", "")
	random := make([]byte, 4096)
	rand.Read(random)
	random[0] = 0xff
	for name, text := range map[string][]byte{
		"random":                    random,
		"zeros":                     make([]byte, 4096),
		"SSH":                       []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		"SSL 2":                     {0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80},
		"data before the handshake": {23, 3, 3, 0, 3, 'a', 'b', 'c'},
		"an alert":                  {21, 3, 3, 0, 2, 2, 40},
		"change cipher spec":        bytes.Repeat([]byte{20, 3, 3, 0, 1, 1}, 100),
		"empty records":             bytes.Repeat([]byte{22, 3, 1, 0, 0}, 100),
		"a record too long":         append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 65535)...),
		"a hello of 16 MB":          hello(1<<24-1, make([]byte, 32<<10)),
		"a hello of zeros":          hello(512, make([]byte, 512)),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", w.Addr)
			rig.Must(t, err)
			defer c.Close()
			began := time.Now()
			c.SetDeadline(began.Add(limit))
			c.Write(text)
			if said, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) || len(said) > 100 && !strings.HasPrefix(string(said), "HTTP/1.1 400 ") {
				t.Errorf("%.60q, %v", said, err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if out, err := w.curl(t, "a.test", "/"); err != nil || out != "hello\n" {
		t.Errorf("afterwards: %v: %s", err, out)
	}
}

// TestR78LargeHello: a ClientHello of nearly 64 KB is one like any other, though it takes four records.
func TestR78LargeHello(t *testing.T) {
	w := start(t, "", "", "")
	offers := []string{"http/1.1"}
	for i := range 240 {
		offers = append(offers, fmt.Sprintf("%d%s", i, strings.Repeat("x", 240)))
	}
	c, err := tls.Dial("tcp", relay(t, w.Addr, 1000), &tls.Config{ServerName: "a.test", RootCAs: w.ca.Pool(), NextProtos: offers})
	rig.Must(t, err)
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
	if text, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(text), "hello\n") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestR78SlowHandshake: the handshake's time is absolute: a byte now and then does not prolong it.
func TestR78SlowHandshake(t *testing.T) {
	w := start(t, "handshake_timeout = \"1s\"\n", "", "")
	c, err := net.Dial("tcp", w.Addr)
	rig.Must(t, err)
	defer c.Close()
	began := time.Now()
	drip := time.NewTicker(50 * time.Millisecond)
	defer drip.Stop()
	for _, b := range firstFlight(t) {
		if _, err := c.Write([]byte{b}); err != nil || time.Since(began) > limit {
			break
		}
		<-drip.C
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 8*time.Second {
		t.Errorf("it was cut off after %v, want 1 s", took)
	}
	w.WaitMetric("the timeout", func(m rig.Metrics) bool { return m.Sum("edge_tls_handshakes_total", `result="timeout"`) == 1 })
}

// TestR78HandshakeFlood: while clients do nothing but shake hands and leave, others are served.
func TestR78HandshakeFlood(t *testing.T) {
	w := start(t, "", "", "")
	var made atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 16 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := tls.Dial("tcp", w.Addr, &tls.Config{ServerName: "a.test", RootCAs: w.ca.Pool()})
				if err != nil {
					t.Errorf("a handshake: %v", err)
					return
				}
				made.Add(1)
				c.Close()
			}
		})
	}
	slowest := time.Duration(0)
	for range 60 {
		began := time.Now()
		c, err := tls.Dial("tcp", w.Addr, &tls.Config{ServerName: "a.test", RootCAs: w.ca.Pool()})
		rig.Must(t, err)
		c.SetDeadline(time.Now().Add(limit))
		fmt.Fprint(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
		if text, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(text), "hello\n") {
			t.Errorf("the canary: %q, %v", text, err)
		}
		c.Close()
		slowest = max(slowest, time.Since(began))
	}
	close(stop)
	all.Wait()
	t.Logf("%d handshakes beside; the slowest canary took %v", made.Load(), slowest)
	if slowest > 2*time.Second {
		t.Errorf("a canary waited %v", slowest)
	}
	w.WaitMetric("no handshake", func(m rig.Metrics) bool { return m.Sum("edge_tls_handshakes_in_progress") == 0 })
}
