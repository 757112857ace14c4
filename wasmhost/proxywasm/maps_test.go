package proxywasm

import (
	"slices"
	"strings"
	"testing"

	"edge/filters"
	"edge/filters/message"
)

func TestMapReads(t *testing.T) {
	r := probe(t)
	r.x.Req.Header.Add("dup", "first")
	r.x.Req.Header.Add("dup", "second")
	r.x.Req.Trailer.Add("req-trailer", "1")
	r.x.Resp.Trailer.Add("resp-trailer", "2")
	var header, trailer message.Fields
	header.Add("from", "upstream")
	trailer.Add("call-trailer", "3")
	r.in.answer = &filters.CallAnswer{Status: 207, Header: &header, Body: []byte("answer"), Trailer: &trailer}

	for _, c := range []struct {
		name, key, want string
		m               uint64
		status          status
	}{
		{"a field", "user-agent", "test/1.0", mapRequestHeaders, ok},
		{"a field in upper case", "User-Agent", "test/1.0", mapRequestHeaders, ok},
		{"the first of several", "dup", "first", mapRequestHeaders, ok},
		{":method", ":method", "GET", mapRequestHeaders, ok},
		{":path", ":path", "/a?b=c", mapRequestHeaders, ok},
		{":authority", ":authority", "example.com", mapRequestHeaders, ok},
		{":scheme", ":scheme", "http", mapRequestHeaders, ok},
		{"host is the authority", "Host", "example.com", mapRequestHeaders, ok},
		{"a field that is not there", "nothing", "", mapRequestHeaders, notFound},
		{"a pseudo header of the other kind", ":status", "", mapRequestHeaders, notFound},
		{"a request trailer", "req-trailer", "1", mapRequestTrailers, ok},
		{":status", ":status", "200", mapResponseHeaders, ok},
		{"a response field", "content-type", "text/plain", mapResponseHeaders, ok},
		{"a response trailer", "resp-trailer", "2", mapResponseTrailers, ok},
		{"a call's status", ":status", "207", mapCallHeaders, ok},
		{"a call's field", "from", "upstream", mapCallHeaders, ok},
		{"a call's trailer", "call-trailer", "3", mapCallTrailers, ok},
		{"gRPC metadata", "x", "", mapGRPCInitial, notFound},
		{"W100 no such map", "x", "", 99, badArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, n := r.text(keyAt, c.key)
			r.in.Memory.WriteUint64Le(outAt, 0)
			if s := r.call("proxy_get_header_map_value", 7<<32|c.m, at, n, outAt, outAt+4); s != c.status {
				t.Fatalf("status %d, want %d", s, c.status)
			}
			if got := r.given(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}

	t.Run("all pairs", func(t *testing.T) {
		if s := r.call("proxy_get_header_map_pairs", mapRequestHeaders, outAt, outAt+4); s != ok {
			t.Fatalf("status %d", s)
		}
		got := r.given()
		want := [][2]string{{":authority", "example.com"}, {":path", "/a?b=c"}, {":method", "GET"}, {":scheme", "http"},
			{"user-agent", "test/1.0"}, {"accept", "*/*"}, {"dup", "first"}, {"dup", "second"}}
		if pairs := unpacked(t, got); !slices.Equal(pairs, want) {
			t.Errorf("%q", pairs)
		}
		if s := r.call("proxy_get_header_map_size", mapRequestHeaders, outAt); s != ok || int(r.word(outAt)) != len(got) {
			t.Errorf("status %d, size %d of %d", s, r.word(outAt), len(got))
		}
	})
	t.Run("an empty map is no bytes and no allocation", func(t *testing.T) {
		r.x.Req.Trailer.Reset()
		for _, m := range []uint64{mapRequestTrailers, mapGRPCTrailing} {
			if s := r.call("proxy_get_header_map_pairs", m, outAt, outAt+4); s != ok || r.word(outAt) != 0 || r.word(outAt+4) != 0 {
				t.Errorf("map %d: status %d, %d bytes at %d", m, s, r.word(outAt+4), r.word(outAt))
			}
		}
	})
}

func TestMissingKeyInVersion010(t *testing.T) {
	r := newRig(t, withAllocator(trampolines("0_1_0"), bump))
	at, n := r.text(keyAt, "nothing")
	if s := r.call("proxy_get_header_map_value", mapRequestHeaders, at, n, outAt, outAt+4); s != ok || r.given() != "" {
		t.Errorf("status %d, %q", s, r.given())
	}
}

func TestMapWrites(t *testing.T) {
	for _, c := range []struct {
		name, call, key, value string
		m                      uint64
		want                   status
		check                  func(r *rig) bool
	}{
		{"add keeps what is there", "add", "accept", "text/html", mapRequestHeaders, ok,
			func(r *rig) bool { return r.x.Req.Header.Count("accept") == 2 }},
		{"replace", "replace", "Accept", "text/html", mapRequestHeaders, ok,
			func(r *rig) bool {
				return r.x.Req.Header.Count("accept") == 1 && r.x.Req.Header.Value("accept") == "text/html"
			}},
		{"white space at the ends goes", "replace", "x-a", " \tv ", mapRequestHeaders, ok,
			func(r *rig) bool { return r.x.Req.Header.Value("x-a") == "v" }},
		{"a response field", "add", "set-cookie", "a=b", mapResponseHeaders, ok,
			func(r *rig) bool { return r.x.Resp.Header.Value("set-cookie") == "a=b" }},
		{"a trailer", "add", "grpc-status", "0", mapResponseTrailers, ok,
			func(r *rig) bool { return r.x.Resp.Trailer.Value("grpc-status") == "0" }},
		{":path", "replace", ":path", "/new?q", mapRequestHeaders, ok, func(r *rig) bool { return r.x.Req.Target == "/new?q" }},
		{":method", "replace", ":method", "PATCH", mapRequestHeaders, ok, func(r *rig) bool { return r.x.Req.Method == "PATCH" }},
		{":authority", "replace", ":authority", "a.b:1", mapRequestHeaders, ok,
			func(r *rig) bool { return r.x.Req.Authority == "a.b:1" }},
		{":scheme", "replace", ":scheme", "https", mapRequestHeaders, ok, func(r *rig) bool { return r.x.Req.Scheme == "https" }},
		{":status", "replace", ":status", "404", mapResponseHeaders, ok, func(r *rig) bool { return r.x.Resp.Status == 404 }},
		{"W99 host sets the authority", "replace", "Host", "other.example", mapRequestHeaders, ok,
			func(r *rig) bool { return r.x.Req.Authority == "other.example" && !r.x.Req.Header.Has("host") }},
		{"W99 content-length is not taken", "replace", "Content-Length", "5", mapRequestHeaders, ok,
			func(r *rig) bool { return !r.x.Req.Header.Has("content-length") }},
		{"W99 transfer-encoding is not taken", "add", "transfer-encoding", "chunked", mapRequestHeaders, ok,
			func(r *rig) bool { return !r.x.Req.Header.Has("transfer-encoding") }},
		{"W99 connection is not taken", "add", "Connection", "close", mapResponseHeaders, ok,
			func(r *rig) bool { return !r.x.Resp.Header.Has("connection") }},
		{"W99 CR LF in a value", "add", "x-a", "v\r\nx-b: w", mapRequestHeaders, badArgument, nil},
		{"W99 NUL in a value", "add", "x-a", "v\x00", mapRequestHeaders, badArgument, nil},
		{"W99 LF in a name", "add", "x-a\nb", "v", mapRequestHeaders, badArgument, nil},
		{"W99 an empty name", "add", "", "v", mapRequestHeaders, badArgument, nil},
		{"W99 :path without slash", "replace", ":path", "new", mapRequestHeaders, badArgument, nil},
		{"W99 :path with a space", "replace", ":path", "/a HTTP/1.1", mapRequestHeaders, badArgument, nil},
		{"W99 :path with a fragment", "replace", ":path", "/a#b", mapRequestHeaders, badArgument, nil},
		{"W99 :path * for GET", "replace", ":path", "*", mapRequestHeaders, badArgument, nil},
		{"W99 :path empty", "replace", ":path", "", mapRequestHeaders, badArgument, nil},
		{"W99 :method with a space", "replace", ":method", "GET /", mapRequestHeaders, badArgument, nil},
		{"W99 :authority with user information", "replace", ":authority", "u@h", mapRequestHeaders, badArgument, nil},
		{"W99 :authority with CR LF", "replace", ":authority", "h\r\n", mapRequestHeaders, badArgument, nil},
		{"W99 :scheme", "replace", ":scheme", "file", mapRequestHeaders, badArgument, nil},
		{"W99 :status 100", "replace", ":status", "100", mapResponseHeaders, badArgument, nil},
		{"W99 :status of letters", "replace", ":status", "2oo", mapResponseHeaders, badArgument, nil},
		{"W99 :status of a request", "replace", ":status", "200", mapRequestHeaders, badArgument, nil},
		{"W99 a pseudo header in trailers", "add", ":path", "/", mapRequestTrailers, badArgument, nil},
		{"W99 an unknown pseudo header", "add", ":protocol", "websocket", mapRequestHeaders, badArgument, nil},
		{"a call's answer is read only", "add", "x", "y", mapCallHeaders, badArgument, nil},
		{"no such map", "add", "x", "y", 99, badArgument, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := probe(t)
			r.in.answer = &filters.CallAnswer{Status: 200, Header: &message.Fields{}}
			lines := r.x.Req.Header.Len() + r.x.Resp.Header.Len()
			k, kn := r.text(keyAt, c.key)
			v, vn := r.text(valueAt, c.value)
			if s := r.call("proxy_"+c.call+"_header_map_value", c.m, k, kn, v, vn); s != c.want {
				t.Fatalf("status %d, want %d", s, c.want)
			}
			switch {
			case c.check != nil && !c.check(r):
				t.Errorf("request %+v, response %+v", r.x.Req, r.x.Resp)
			case c.check == nil && r.x.Req.Header.Len()+r.x.Resp.Header.Len() != lines:
				t.Error("a refused write has written")
			case c.check == nil && r.plugin.Counters.Refused.Load() != 1:
				t.Error("it is not counted")
			}
		})
	}
}

func TestMapRemove(t *testing.T) {
	r := probe(t)
	for key, want := range map[string]status{"ACCEPT": ok, "nothing": ok, ":path": badArgument} {
		k, n := r.text(keyAt, key)
		if s := r.call("proxy_remove_header_map_value", mapRequestHeaders, k, n); s != want {
			t.Errorf("%s: status %d, want %d", key, s, want)
		}
	}
	if r.x.Req.Header.Has("accept") {
		t.Error("accept is still there")
	}
}

func TestSetMapPairs(t *testing.T) {
	r := probe(t)
	r.x.Req.Header.Add("content-length", "3")
	set := func(s string) status {
		at, n := r.text(mapAt, s)
		return r.call("proxy_set_header_map_pairs", mapRequestHeaders, at, n)
	}
	if s := set(packed(":path", "/new", "x-one", "1", "x-one", "2", "content-length", "9")); s != ok {
		t.Fatalf("status %d", s)
	}
	h := &r.x.Req.Header
	if r.x.Req.Target != "/new" || r.x.Req.Method != "GET" || h.Count("x-one") != 2 || h.Has("accept") || h.Value("content-length") != "3" {
		t.Errorf("request %+v", r.x.Req)
	}
	for name, s := range map[string]string{
		"W100 more pairs than bytes":  "\xff\x03\x00\x00",
		"W100 a count of 2^32-1":      "\xff\xff\xff\xff" + strings.Repeat("\x00", 64),
		"W100 a key beyond the end":   "\x01\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00k\x00v\x00",
		"W100 a length of 2^32-1":     "\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xffk\x00v\x00",
		"W100 no zero after the key":  "\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00kxv\x00",
		"W100 cut off":                "\x01\x00\x00\x00\x01\x00",
		"W99 one bad pair among good": packed("x-a", "1", "x-b", "2\n"),
	} {
		if got := set(s); got != badArgument || h.Count("x-one") != 2 {
			t.Errorf("%s: status %d, header %v", name, got, h)
		}
	}
	if s := set(""); s != ok || h.Len() != 1 {
		t.Errorf("an empty map: status %d, %d lines", s, h.Len())
	}
}

// W99: a guest that writes and writes is stopped by MaxMapPairs and MaxMutationBytes.
func TestW99HeaderGrowthIsBounded(t *testing.T) {
	t.Run("pairs", func(t *testing.T) {
		r := probe(t)
		k, kn := r.text(keyAt, "x")
		n := 0
		for ; n < 100_000 && r.call("proxy_add_header_map_value", mapRequestHeaders, k, kn, k, kn) == ok; n++ {
		}
		if n < MaxMapPairs-10 || n > MaxMapPairs {
			t.Errorf("%d were taken", n)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		r := probe(t)
		k, kn := r.text(keyAt, "x")
		v, vn := r.text(valueAt, strings.Repeat("v", 8<<10))
		n := 0
		for ; n < 100_000 && r.call("proxy_replace_header_map_value", mapRequestHeaders, k, kn, v, vn) == ok; n++ {
		}
		if n > MaxMutationBytes>>13 {
			t.Errorf("%d KiB were taken", 8*n)
		}
	})
}

func TestFramingFieldsAreKnownInAnyCase(t *testing.T) {
	for name, want := range map[string]bool{"Transfer-Encoding": true, "TE": true, "x-te": false, "upgrade": true, "": false} {
		if framing(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// No map reaches a stream that is neither the callback's nor paused on that head.
func TestOnlyOwnedMessagesAreReachable(t *testing.T) {
	r := probe(t)
	other := newOther(t, r)
	for _, c := range []struct {
		name   string
		paused [2]pause
		want   [2]bool // request, response
	}{
		{"running", [2]pause{}, [2]bool{}},
		{"paused on the request's head", [2]pause{onHead, running}, [2]bool{true, false}},
		{"paused on the response's head", [2]pause{running, onHead}, [2]bool{false, true}},
		{"paused on the request's body", [2]pause{onBody, running}, [2]bool{}},
	} {
		other.paused = c.paused
		r.in.active = other
		for d, m := range []uint64{mapRequestHeaders, mapResponseHeaders} {
			if _, found := r.in.headers(m); found != c.want[d] {
				t.Errorf("%s: map %d reachable: %v", c.name, m, found)
			}
		}
	}
}
