package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTasks: the outcome and its status are the answer; only POST asks for anything, and no page of another origin does.
func TestTasks(t *testing.T) {
	asked := 0
	outcome := map[string]string{"result": "failed"}
	do := func(context.Context) (any, int) {
		asked++
		return outcome, http.StatusUnprocessableEntity
	}
	s := open(t, Options{Address: "127.0.0.1:0", Reload: do, Upgrade: do, Drain: func(ctx context.Context, _ time.Duration) (any, int) { return do(ctx) }})
	for _, path := range []string{ReloadPath, UpgradePath, DrainPath} {
		t.Run(path, func(t *testing.T) { guarded(t, s, path, &asked) })
		if status, _, _ := get(t, open(t, Options{Address: "127.0.0.1:0"}), "POST", path, "localhost"); status != 404 {
			t.Errorf("%s without a function: %d", path, status)
		}
	}
}

func guarded(t *testing.T, s *Server, path string, asked *int) {
	for _, c := range []struct {
		method, key, value string
		status             int
		body               string
	}{
		{"POST", "", "", 422, `"result": "failed"`},
		{"POST", "Sec-Fetch-Site", "same-origin", 422, `"result": "failed"`},
		{"POST", "Sec-Fetch-Site", "cross-site", 403, "cross-origin"},
		{"POST", "Origin", "http://evil.example", 403, "cross-origin"},
		{"GET", "", "", 405, ""},
	} {
		r, err := http.NewRequest(c.method, "http://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.key != "" {
			r.Header.Set(c.key, c.value)
		}
		before := *asked
		answer, err := client(s).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.status || !strings.Contains(string(body), c.body) || (*asked > before) != (c.status == 422) {
			t.Errorf("%s %s %s: %d %q, asked %v", c.method, c.key, c.value, answer.StatusCode, body, *asked > before)
		}
	}
}

func TestDrainDelay(t *testing.T) {
	var got []time.Duration
	s := open(t, Options{Address: "127.0.0.1:0", Drain: func(_ context.Context, delay time.Duration) (any, int) {
		got = append(got, delay)
		return nil, 200
	}})
	for query, status := range map[string]int{
		"": 200, "?delay=5s": 200, "?delay=-5s": 400, "?delay=5": 400, "?delay=1h": 200, "?delay=61m": 400, // MaxDelay
	} {
		if code, _, body := get(t, s, "POST", DrainPath+query, "localhost"); code != status {
			t.Errorf("%q: %d %q, want %d", query, code, body, status)
		}
	}
	slices.Sort(got)
	if want := []time.Duration{0, 5 * time.Second, time.Hour}; !slices.Equal(got, want) {
		t.Errorf("drained with %v, want %v", got, want)
	}
}

// TestStop: who asks hears that it is under way, then how it has gone, and keeps the connection when the server has closed.
func TestStop(t *testing.T) {
	var s *Server
	var nows []bool
	stopped := make(chan struct{}, 2)
	s, err := Listen(Options{Address: "unix:" + filepath.Join(t.TempDir(), "a.sock"), Stop: func(now bool) any {
		nows = append(nows, now)
		stopped <- struct{}{}
		return map[string]int{"pid": 7}
	}})
	if err != nil {
		t.Fatal(err)
	}
	var waiting []*bufio.Reader
	for _, query := range []string{"", "?now=true"} {
		c, err := net.Dial("unix", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "POST %s%s HTTP/1.1\r\nHost: localhost\r\n\r\n", StopPath, query)
		<-stopped
		in := bufio.NewReader(c)
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode != 200 || !answer.Close || answer.ContentLength >= 0 {
			t.Fatalf("%+v, %v", answer, err)
		}
		body := bufio.NewReader(answer.Body)
		if line, err := body.ReadString('\n'); line != "{\"pid\":7}\n" {
			t.Errorf("%q, %v", line, err)
		}
		waiting = append(waiting, body)
	}
	if !slices.Equal(nows, []bool{false, true}) {
		t.Errorf("now: %v", nows)
	}
	s.Farewell(map[string]string{"result": "done"})
	closeNow(t, s)
	for _, in := range waiting {
		if line, err := in.ReadString('\n'); line != "{\"result\":\"done\"}\n" {
			t.Errorf("%q, %v", line, err)
		}
	}
	for _, c := range s.held { // the end of the process
		c.Close()
	}
	for _, in := range waiting {
		if line, err := in.ReadString('\n'); err != io.EOF {
			t.Errorf("%q, %v", line, err)
		}
	}
}

// TestHandOver: another server takes the socket, nobody who comes in between is refused, and the first leaves the socket in its place.
func TestHandOver(t *testing.T) {
	named := func(name string) func() *Status { return func() *Status { return &Status{Version: name} } }
	for _, address := range []string{"unix:" + filepath.Join(t.TempDir(), "a.sock"), "127.0.0.1:0"} {
		first, err := Listen(Options{Address: address, Status: named("first")})
		if err != nil {
			t.Fatal(err)
		}
		fd, err := first.Socket()
		if err != nil {
			t.Fatal(err)
		}
		first.HandOver()
		closeNow(t, first)
		c, err := net.Dial(first.Addr().Network(), first.Addr().String()) // nobody accepts
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		second, err := Listen(Options{Address: address, Status: named("second"), Inherited: os.NewFile(uintptr(fd), address)})
		if err != nil {
			t.Fatal(err)
		}
		if got := second.Addr().String(); got != first.Addr().String() {
			t.Errorf("at %s, want %s", got, first.Addr())
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if text, err := io.ReadAll(c); !strings.Contains(string(text), `"version":"second"`) {
			t.Errorf("%q, %v", text, err)
		}
		closeNow(t, second)
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the second has left its socket: %v", err)
			}
		}
	}
}

// TestInheritNothing: a socket whose path somebody has removed is made anew; what is no socket is an error.
func TestInheritNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	first, err := Listen(Options{Address: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, first)
	fd, err := first.Socket()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := get(t, open(t, Options{Address: "unix:" + path, Inherited: os.NewFile(uintptr(fd), path)}), "GET", "/healthz", "localhost"); status != 200 {
		t.Errorf("%d", status)
	}
	none, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Listen(Options{Address: "127.0.0.1:0", Inherited: none}); err == nil {
		closeNow(t, s)
		t.Error("/dev/null is listened on")
	}
}
