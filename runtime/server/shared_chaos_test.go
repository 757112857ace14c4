package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"edge/runtime/upstream"
)

// TestSharedChaos: clients that give up at any moment and an origin whose connections break at any moment. Every answer that comes whole
// is the request's own, and in the end nothing is left.
func TestSharedChaos(t *testing.T) {
	o := newOrigin2(t, &http2.Server{MaxConcurrentStreams: 10}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rand.IntN(8) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.WriteHeader(200) // without reading the request
			return
		}
		io.Copy(w, r.Body)
	}))
	b := share(t, o, plot{entry: sniffed})
	end := time.Now().Add(time.Second)
	var all sync.WaitGroup
	var whole atomic.Int32
	for i := range 16 {
		all.Go(func() {
			client := client2(t)
			if i%2 == 0 {
				client = client1(t)
			}
			defer client.CloseIdleConnections()
			for j := 0; time.Now().Before(end); j++ {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(3) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
				}
				body := strings.Repeat(fmt.Sprint(i, " ", j, ","), rand.IntN(20000))
				req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+b.addr+"/", struct{ io.Reader }{strings.NewReader(body)})
				if resp, err := client.Do(req); err == nil {
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					switch {
					case err != nil || resp.StatusCode == 502:
					case resp.StatusCode != 200 || len(got) > 0 && string(got) != body:
						t.Errorf("%d, %d bytes of %d", resp.StatusCode, len(got), len(body))
					default:
						whole.Add(1)
					}
				}
				cancel()
			}
		})
	}
	for time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
		o.cut()
	}
	all.Wait()
	if whole.Load() == 0 {
		t.Error("no answer has come whole")
	}
	if !within(patience, func() bool { _, streams := b.pools["app"].Shared(); return streams == 0 }) {
		sessions, streams := b.pools["app"].Shared()
		t.Errorf("%d sessions with %d streams are left", sessions, streams)
	}
	if sessions, _ := b.pools["app"].Shared(); sessions < 0 || sessions > 2*upstream.MaxSessions {
		t.Errorf("%d sessions", sessions)
	}
}
