package server

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/filters"
)

// attributesOf asks for attributes, by name and with dots, at a point of an exchange.
type attributesOf struct {
	mu    sync.Mutex
	found map[string]filters.Value // by "when name"
}

var asked = []string{
	"request.path", "request.url_path", "request.query", "request.host", "request.scheme", "request.method", "request.protocol",
	"request.referer", "request.useragent", "request.headers.x-a", "request.headers_bytes", "request.time",
	"request.duration", "request.size", "request.total_size",
	"response.code", "response.code_details", "response.grpc_status", "response.size", "response.total_size", "response.headers.x-b",
	"response.trailers.grpc-status",
	"upstream.address", "upstream.port", "upstream.request_attempt_count", "source.address", "source.port", "destination.port",
	"connection.mtls", "route_name", "xds.route_name", "cluster_name", "xds.cluster_name", "listener_direction", "xds.listener_direction", "no.such", "xds", "",
}

func (a *attributesOf) ask(when string, x filters.Exchange) {
	if x.Request().Method != "POST" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range asked {
		if v, found := x.Property(strings.ReplaceAll(name, ".", "\x00")); found {
			v.Text = strings.Clone(v.Text)
			a.found[when+" "+name] = v
		}
	}
}

func (a *attributesOf) filter() *fake {
	a.found = map[string]filters.Value{}
	return &fake{name: "f", wants: filters.OnRequestHead | filters.OnResponseHead | filters.OnResponseTrailers,
		head: func(x filters.Exchange, d filters.Direction, _ bool) filters.Action {
			a.ask(d.String(), x)
			return filters.Continue
		},
		trailers: func(x filters.Exchange, d filters.Direction) filters.Action {
			a.ask("trailers", x)
			return filters.Continue
		},
		close: func(x filters.Exchange) bool {
			a.ask("end", x)
			return true
		},
	}
}

// show is a value as the test compares it.
func show(v filters.Value) string {
	switch v.Kind {
	case filters.Bytes:
		return v.Text
	case filters.Map:
		return "a map"
	}
	return strconv.FormatInt(v.Num, 10)
}

func TestProperties(t *testing.T) {
	var a attributesOf
	o := origin(t, says("HTTP/1.1 200 OK\r\nX-B: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ngrpc-status: 7\r\n\r\n"))
	b := grow(t, plot{servers: []string{o}, filters: []filters.Filter{a.filter()}})
	c := dial(t, b.addr)
	before := time.Now()
	c.say("POST /p/q?x=1 HTTP/1.1\r\nHost: a.example\r\nX-A: a\r\nReferer: r\r\nUser-Agent: u\r\nContent-Length: 4\r\n\r\nbody")
	c.want("POST", 200, "hello")
	c.say(get) // the first exchange is over once the second is answered
	c.want("GET", 200, "hello")
	_, port, _ := strings.Cut(o, ":")

	a.mu.Lock()
	defer a.mu.Unlock()
	for key, want := range map[string]string{
		"request request.path":                    "/p/q?x=1",
		"request request.protocol":                "HTTP/1.1",
		"request request.method":                  "POST",
		"request request.host":                    "a.example",
		"request route_name":                      "all",
		"request xds.route_name":                  "all",
		"request cluster_name":                    "app",
		"request xds.cluster_name":                "app",
		"request listener_direction":              "1",
		"request xds.listener_direction":          "1",
		"request connection.mtls":                 "0",
		"request destination.port":                strings.TrimPrefix(b.addr, "127.0.0.1:"),
		"response response.code":                  "200",
		"response response.headers.x-b":           "b",
		"response upstream.address":               o,
		"response upstream.port":                  port,
		"response upstream.request_attempt_count": "1",
		"trailers response.trailers.grpc-status":  "7",
		"trailers response.grpc_status":           "7",
		"end response.grpc_status":                "7",
		"end request.url_path":                    "/p/q",
		"end request.query":                       "x=1",
		"end request.referer":                     "r",
		"end request.useragent":                   "u",
		"end request.headers.x-a":                 "a",
		"end request.size":                        "4",
		"end response.size":                       "5",
		"end upstream.address":                    o,
	} {
		if v, found := a.found[key]; !found || show(v) != want {
			t.Errorf("%s: %q (%v), want %q", key, show(v), found, want)
		}
	}
	for _, key := range []string{
		"request upstream.address", "request response.code", "request request.size", "response request.duration", "response response.size",
		"trailers response.total_size", "response response.code_details", "end no.such", "end xds", "end ", "end response.code_details",
	} {
		if v, found := a.found[key]; found {
			t.Errorf("%s: %q, want none", key, show(v))
		}
	}
	if got := a.found["end request.total_size"].Num; got <= 4 {
		t.Errorf("request.total_size: %d", got)
	}
	if got := a.found["end response.total_size"].Num; got <= 5 {
		t.Errorf("response.total_size: %d", got)
	}
	if got := time.Duration(a.found["end request.duration"].Num); got <= 0 || got > time.Since(before) {
		t.Errorf("request.duration: %v", got)
	}
	if got := a.found["end request.time"]; got.Kind != filters.Time || got.Num < before.UnixNano() || got.Num > time.Now().UnixNano() {
		t.Errorf("request.time: %v", time.Unix(0, got.Num))
	}
	if peer, err := netip.ParseAddrPort(show(a.found["end source.address"])); err != nil || !peer.Addr().IsLoopback() {
		t.Errorf("source.address: %v", err)
	}
}

// What a filter has answered says why in its last callbacks, and in no others.
func TestDetailsOfAnAnswer(t *testing.T) {
	var a attributesOf
	f := a.filter()
	f.head = func(x filters.Exchange, d filters.Direction, _ bool) filters.Action {
		a.ask(d.String(), x)
		if d == filters.Request {
			if err := x.Respond(&filters.Reply{Status: 403, Details: "denied"}); err != nil {
				t.Error(err)
			}
		}
		return filters.Continue
	}
	b := grow(t, plot{filters: []filters.Filter{f}, routes: []Route{{Name: "r", Filters: []filters.Filter{f}, Action: fixed("x").Action}}})
	c := dial(t, b.addr)
	c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	c.want("POST", 403, "")
	if !within(patience, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.found["end response.code"].Num == 403
	}) {
		t.Error("the filter's stream is not closed")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := show(a.found["end response.code_details"]); got != "denied" {
		t.Errorf("details %q", got)
	}
	for _, key := range []string{"response response.code_details", "end upstream.address", "end cluster_name"} {
		if v, found := a.found[key]; found {
			t.Errorf("%s: %q, want none", key, show(v))
		}
	}
}
