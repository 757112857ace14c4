package wasm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edge/conformance/rig"
)

// TestW103Tenants: what one filter's streams hold is not in another's memory, header maps, bodies or properties, whatever that one
// tries, and after a fault not in the new instance of its own either.
func TestW103Tenants(t *testing.T) {
	origin := rig.NewOrigin(t, talk)
	b := &bed{origin: origin, Edge: rig.Start(t, rig.Config{
		Log: "level = \"info\"\n",
		Rest: app(origin) + probeFilter(t, "mine", "0.2.1", "", "limits = { cpu = \"1s\", pause = \"5s\" }\nallow = { upstreams = [\"app\"] }\n") +
			probeFilter(t, "theirs", "0.2.1", "", "limits = { cpu = \"1s\" }\n") + route("/probe/mine*", "mine") + route("/probe/theirs*", "theirs"),
	})}
	const secret = "canary-7-77"
	const scan = "scan 'canary-7-76'" // counts how often the secret lies in the guest's memory

	held := rig.Dial(t, b.Addr)
	held.Send((&exchange{path: "mine", fields: "X-Secret: " + secret + "\r\n", method: "POST", body: "body " + secret,
		do: "request_headers: proxy_get_header_map_value 0 'x-secret' ??; proxy_set_property 'my~own' '" + secret + "' | request_body: pause"}).bytes())
	b.WaitMetric("a stream that is paused", func(m rig.Metrics) bool { return m.Sum("edge_filter_parked", `filter="mine"`) == 1 })

	for id := range 12 {
		snoop := fmt.Sprintf("request_headers: proxy_set_effective_context %d; proxy_get_header_map_value 0 'x-secret' ??; "+
			"proxy_get_header_map_pairs 0 ??; proxy_get_buffer_bytes 0 0 99 ??; proxy_get_property 'my~own' ??; self; ", id)
		b.run(t, exchange{path: "theirs", do: snoop + scan + "; say", want: []string{"200\n", "found=0"}, never: []string{secret}})
	}
	// Where the secret is, the guest finds it.
	b.run(t, exchange{path: "mine", fields: "X-Secret: " + secret + "\r\n", never: []string{"found=0"},
		do: "request_headers: proxy_get_header_map_value 0 'x-secret' ??; " + scan + "; say", want: []string{"200\n", "found="}})
	// A stream of the same filter, in the same lane or not, has no access to one that is paused on its body but for the body it holds.
	b.run(t, exchange{path: "mine", do: "request_headers: proxy_get_header_map_value 0 'x-secret' ??; proxy_get_property 'my~own' ??; say",
		want: []string{"200\n", "get_header_map_value=1: get_property=1:"}, never: []string{secret}})
	held.Abort()
	b.WaitMetric("no stream that is paused", func(m rig.Metrics) bool { return m.Sum("edge_filter_parked") == 0 })

	traps := func(m rig.Metrics) float64 { return m.Sum("edge_filter_traps_total", `filter="mine"`) }
	for range 8 {
		x := exchange{path: "mine", fields: "X-Secret: " + secret + "\r\n", do: "request_headers: proxy_get_header_map_value 0 'x-secret' ??; trap"}
		rig.Dial(t, b.Addr).Send(x.bytes())
	}
	b.WaitMetric("that the instances were given up", func(m rig.Metrics) bool { return traps(m) >= 2 })
	o := &offender{t: t, bed: b}
	if !rig.Eventually(logLimit, func() bool {
		status, _ := o.offend(exchange{path: "mine", do: "request_headers: say"})
		return status == 200 && b.Metrics().Sum("edge_filter_instances", `filter="mine"`) >= 2
	}) {
		t.Fatal("the instances do not come back")
	}
	for range 4 {
		b.run(t, exchange{path: "mine", do: "request_headers: " + scan + "; say", want: []string{"200\n", "found=0"}, never: []string{secret}})
	}
}

// TestW103Streams: a crowd of streams in the same lanes, each with a secret, some paused, some failing, some cut off: no answer holds
// another's secret.
func TestW103Streams(t *testing.T) {
	b := newBed(t, "0.2.1", "", "limits = { cpu = \"100ms\", pause = \"500ms\" }\nallow = { upstreams = [\"app\"] }\n")
	const call = "proxy_http_call 'app' [:method=GET,:path=/call,:authority=app] '' '' 1000 ?; pause"
	mine := "proxy_get_header_map_value 0 'x-secret' ??"
	scripts := []string{
		"request_headers: " + mine + "; say",
		"request_headers: " + mine + "; " + call + " | http_call_response: " + mine + "; proxy_continue_stream 0 | response_headers: tell",
		"request_headers: " + call + " | http_call_response: " + mine + "; say 403",
		"response_headers: " + mine + "; tell",
		"response_headers: " + call + " | http_call_response: " + mine + "; tell; proxy_continue_stream 1",
		"request_headers: " + mine + "; " + call + " | http_call_response: proxy_close_stream 0",
		"request_piece: pause | request_body: " + mine + "; proxy_get_buffer_bytes 0 0 99 ?? | response_headers: tell",
	}
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	var crowd sync.WaitGroup
	for k := range 8 {
		crowd.Add(1)
		go func() {
			defer crowd.Done()
			for n := range rounds {
				secret := fmt.Sprintf("canary-%d-%d", k, n)
				x := exchange{method: "POST", body: secret, fields: "X-Secret: " + secret + "\r\nConnection: close\r\n", do: scripts[(k+n)%len(scripts)]}
				text := raw(t, b.Addr, x.bytes())
				if other := slices.DeleteFunc(secrets.FindAllString(text, -1), func(s string) bool { return s == secret }); len(other) > 0 {
					t.Errorf("the stream with %s got %v:\n%s", secret, other, text)
				}
				if !strings.Contains(text, secret) && (k+n)%len(scripts) != 5 {
					t.Errorf("the stream with %s did not get it back:\n%s", secret, text)
				}
			}
		}()
	}
	crowd.Wait()
	for _, q := range b.origin.Requests() {
		if s := q.Header.Get("x-secret"); s != "" && string(q.Body) != s {
			t.Errorf("the origin saw %s with the body %q", s, q.Body)
		}
	}
}

// raw sends bytes on a connection of its own and returns all that comes back until the server closes.
func raw(t *testing.T, addr, request string) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(logLimit))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	return string(text)
}

// TestW103Isolation: with isolation = "stream" nothing of a stream is left in the guest's memory for the next one, however the first one
// ended. Without, the guest keeps what it keeps: so the test knows what to look for.
func TestW103Isolation(t *testing.T) {
	const call = "; proxy_http_call 'app' [:method=GET,:path=/call,:authority=app] '' '' 1000 ?; pause | http_call_response: proxy_continue_stream 0"
	for _, isolation := range []string{"stream", "shared"} {
		t.Run(isolation, func(t *testing.T) {
			b := newBed(t, "0.2.1", "", "lanes = 1\nisolation = \""+isolation+"\"\nlimits = { pause = \"100ms\" }\nallow = { upstreams = [\"app\"] }\n")
			for _, end := range []string{"", "; say 403", "; pause", call, "; proxy_close_stream 0"} {
				x := exchange{do: "request_headers: proxy_get_header_map_value 0 'x-secret' ??" + end, fields: "X-Secret: canary-7-77\r\nConnection: close\r\n"}
				raw(t, b.Addr, x.bytes())
				next := exchange{do: "request_headers: scan 'canary-7-76'; say", want: []string{"200\n", "found=0"}}
				if isolation == "shared" {
					next.want, next.never = []string{"200\n"}, []string{"found=0"}
				}
				b.run(t, next)
			}
		})
	}
}
