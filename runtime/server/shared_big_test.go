package server

import (
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"edge/runtime/files"
)

// TestSharedBig moves more than any window, to a client that keeps up and to one that pauses.
func TestSharedBig(t *testing.T) {
	const size = 64 << 20
	o := newOrigin2(t, new(http2.Server), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for buf, n := make([]byte, 32<<10), 0; n < size; n += len(buf) {
			if _, err := w.Write(buf); err != nil {
				return
			}
		}
	}))
	b := share(t, o, plot{entry: sniffed})
	for name, client := range map[string]*http.Client{"http/1.1": client1(t), "h2c": client2(t)} {
		t.Cleanup(client.CloseIdleConnections)
		for _, pause := range []time.Duration{0, 2 * time.Millisecond} {
			resp, err := client.Get("http://" + b.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for buf := make([]byte, 1<<20); err == nil; {
				var m int
				m, err = resp.Body.Read(buf)
				if n += m; n/(8<<20) != (n-m)/(8<<20) {
					time.Sleep(pause)
				}
			}
			resp.Body.Close()
			if err != io.EOF || n != size {
				t.Errorf("%s: %d bytes of %d, %v", name, n, size, err)
			}
		}
	}
}

// TestSharedFile has edge ask edge for a file that is larger than the windows: what an opened window lets through is gone with the first
// writes, and no event tells that there is room for more.
func TestSharedFile(t *testing.T) {
	const size = 16 << 20
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/big", make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	action, err := files.Open(files.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	from := grow(t, plot{entry: sniffed, routes: []Route{{Name: "files", Action: Action{Files: action}}}, keepFiles: true})
	b := share(t, &origin2{addr: from.addr}, plot{keepFiles: true})
	client := client1(t)
	t.Cleanup(client.CloseIdleConnections)
	for range 5 {
		resp, err := client.Get("http://" + b.addr + "/big")
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if resp.Body.Close(); n != size || err != nil {
			t.Fatalf("%d bytes of %d, %v", n, size, err)
		}
	}
}
