package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// client speaks to a server over its own kind of socket.
func client(s *Server) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, s.Addr().Network(), s.Addr().String())
		},
	}}
}

func open(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, s) })
	return s
}

func closeNow(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error("close:", err)
	}
}

func get(t *testing.T, s *Server, method, path, host string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://admin"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	a, err := client(s).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, a.Header, string(b)
}

func TestPages(t *testing.T) {
	s := open(t, Options{
		Address:     "unix:" + filepath.Join(t.TempDir(), "s"),
		Metrics:     func(w io.Writer) error { _, err := io.WriteString(w, "edge_up 1\n"); return err },
		MetricsType: "text/plain; version=0.0.4",
		Status:      func() *Status { return &Status{Version: "<script>x"} },
		Ready:       func() error { return errors.New("draining") },
	})
	for _, c := range []struct {
		method, path string
		status       int
		kind, holds  string
	}{
		{"GET", "/metrics", 200, "text/plain; version=0.0.4", "edge_up 1\n"},
		{"GET", "/status.json", 200, "application/json", `"version":"\u003cscript\u003ex"`},
		{"GET", "/status", 200, "text/html; charset=utf-8", "<title>edge status</title>"},
		{"HEAD", "/status", 200, "text/html; charset=utf-8", ""},
		{"GET", "/healthz", 200, "text/plain; charset=utf-8", "ok\n"},
		{"GET", "/readyz", 503, "text/plain; charset=utf-8", "draining\n"},
		{"POST", "/metrics", 405, "text/plain; charset=utf-8", ""},
		{"GET", "/", 404, "text/plain; charset=utf-8", ""},
	} {
		status, header, body := get(t, s, c.method, c.path, "anything.example")
		if status != c.status || header.Get("Content-Type") != c.kind || !strings.Contains(body, c.holds) {
			t.Errorf("%s %s: %d %q %q", c.method, c.path, status, header.Get("Content-Type"), body)
		}
		if strings.Contains(body, "<script>x") {
			t.Errorf("%s: a value of the status is markup", c.path)
		}
		if header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", c.path)
		}
	}
}

func TestPagesWithoutFunctions(t *testing.T) {
	s := open(t, Options{Address: "127.0.0.1:0"})
	for path, want := range map[string]int{"/metrics": 404, "/status": 404, "/status.json": 404, "/healthz": 200, "/readyz": 200} {
		if got, _, _ := get(t, s, "GET", path, "localhost"); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestFailingFunctions(t *testing.T) {
	var mu sync.Mutex
	var logged []string
	partial := ""
	s := open(t, Options{
		Address: "127.0.0.1:0",
		Metrics: func(w io.Writer) error { io.WriteString(w, partial); return errors.New("bad source") },
		Status:  func() *Status { return &Status{CallBounds: []float64{math.NaN()}} },
		Log:     func(m string) { mu.Lock(); defer mu.Unlock(); logged = append(logged, m) },
	})
	if status, _, _ := get(t, s, "GET", "/metrics", "localhost"); status != 500 {
		t.Errorf("metrics without any: %d", status)
	}
	partial = "edge_up 1\n"
	if status, _, body := get(t, s, "GET", "/metrics", "localhost"); status != 200 || body != partial {
		t.Errorf("metrics with some: %d %q", status, body)
	}
	if status, _, _ := get(t, s, "GET", "/status.json", "localhost"); status != 500 {
		t.Errorf("status: %d", status)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(logged) != 3 || logged[0] != "admin: metrics: bad source" {
		t.Errorf("logged %q", logged)
	}
}

func TestHostOnTCP(t *testing.T) {
	s := open(t, Options{Address: "127.0.0.1:0"})
	for host, want := range map[string]int{
		"localhost":           200,
		"LOCALHOST:9901":      200,
		"127.0.0.1":           200,
		"127.0.0.1:80":        200,
		"127.8.8.8":           200,
		"[::1]":               200,
		"[::1]:9901":          200,
		"evil.example":        421,
		"evil.example:9901":   421,
		"127.0.0.1.evil.test": 421,
		"localhost.evil.test": 421,
		"10.0.0.1":            421,
		"[::ffff:10.0.0.1]":   421,
		"0.0.0.0":             421,
	} {
		if got, _, _ := get(t, s, "GET", "/healthz", host); got != want {
			t.Errorf("host %q: %d, want %d", host, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{
		"", "unix:", "9901", ":9901", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", "unix:/nonexistent/x",
	} {
		if s, err := Listen(Options{Address: address}); err == nil {
			t.Errorf("%q: listens on %s", address, s.Addr())
			closeNow(t, s)
		} else if !strings.HasPrefix(err.Error(), "admin: ") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"localhost:0", "127.0.0.1:0"} {
		if host, _, _ := net.SplitHostPort(open(t, Options{Address: address}).Addr().String()); host != "127.0.0.1" {
			t.Errorf("%q: listens on %s", address, host)
		}
	}
}

func TestSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, Options{Address: "unix:" + path})
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if _, err := Listen(Options{Address: "unix:" + path}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server: %v", err)
	}
	closeNow(t, s)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after close: %v", err)
	}
	closeNow(t, s) // a second time
}

func TestStaleSocketIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s := open(t, Options{Address: "unix:" + path})
	if status, _, _ := get(t, s, "GET", "/healthz", "x"); status != 200 {
		t.Error(status)
	}
}

func TestForeignFilesStay(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		if _, err := Listen(Options{Address: "unix:" + path}); err == nil {
			t.Errorf("%s: took its place", path)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

// A newer process has removed our socket and put its own there: closing ours must leave it alone.
func TestCloseLeavesANewerSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old := open(t, Options{Address: "unix:" + path})
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	newer := open(t, Options{Address: "unix:" + path})
	closeNow(t, old)
	if status, _, _ := get(t, newer, "GET", "/healthz", "x"); status != 200 {
		t.Error(status)
	}
}

func TestCloseWaitsForAnswers(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := open(t, Options{Address: "127.0.0.1:0", Healthy: func() error { close(entered); <-release; return nil }})
	answer := make(chan int, 1)
	go func() {
		a, err := client(s).Get("http://localhost/healthz")
		if err != nil {
			answer <- 0
			return
		}
		a.Body.Close()
		answer <- a.StatusCode
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.http.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown with an answer under way: %v", err)
	}
	close(release)
	if got := <-answer; got != 200 {
		t.Errorf("the answer under way: %d", got)
	}
}

func TestConnectionBound(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bound(inner, 2)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello\n")
			accepted <- c
		}
	}()
	var clients []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	first, second := <-accepted, <-accepted
	defer second.Close()
	if len(l.slots) != 2 {
		t.Fatalf("%d slots taken", len(l.slots))
	}
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	default:
	}
	first.Close()
	first.Close() // gives back one slot, not two
	third := <-accepted
	defer third.Close()
	if line, err := bufio.NewReader(clients[2]).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("the waiting client got %q, %v", line, err)
	}
	l.Close()
	if _, open := <-accepted; open {
		t.Error("accepted after close")
	}
}
