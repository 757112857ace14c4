package http2

import (
	"fmt"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"edge/filters/message"
)

func TestPreface(t *testing.T) {
	r := newRig(t)
	r.WriteString(Preface)
	r.WriteSettings()
	if err := r.feed(); err != nil {
		t.Fatal(err)
	}
	r.expect("section 3.4", &r.sent, "SETTINGS", "WINDOW_UPDATE 0 983041", "SETTINGS ack")
	if r.session.Idle() {
		t.Error("a session whose settings are not acknowledged counts as idle")
	}
	r.WriteSettingsAck()
	r.feed()
	if !r.session.Idle() {
		t.Error("a session without streams does not count as idle")
	}
}

func TestRequestAndAnswer(t *testing.T) {
	r := newRig(t).greet()
	r.answer = func(s *Stream) { respond(s, "hello") }
	r.request(1, true, get("accept", "*/*")...)
	r.feed()
	r.expect("section 8.1", &r.log, "head 1 GET h/ accept=*/* end")
	r.expect("section 8.1", &r.sent, "HEADERS 1 :status=200 content-length=5", `DATA 1 5 "hello" end`)
	if r.session.Len() != 1 || r.session.Idle() {
		t.Error("F58: the slot is free before the work has ended")
	}
	r.release()
	if r.session.Len() != 0 || !r.session.Idle() {
		t.Error("a released stream is still there")
	}
}

func TestBodyAndTrailers(t *testing.T) {
	r := newRig(t).greet()
	r.request(1, false, post("te", "trailers")...)
	r.WriteData(1, false, []byte("ab"))
	r.WriteDataPadded(1, false, []byte("cd"), make([]byte, 7))
	r.request(1, true, "x-sum", "5", "content-type", "no")
	r.feed()
	r.expect("sections 6.1, 8.1 and S17", &r.log, "head 1 POST h/ length=-1", "data 1 abcd", "trailers 1 x-sum=5")
	if !r.streams[0].TakesTrailers() || !r.streams[0].Ended() {
		t.Error("te or the end went unseen")
	}
	s := r.streams[0]
	r.session.Turn(r.out, r.now)
	s.WriteInterim(103, nil)
	s.WriteHead(&message.Response{Status: 200, Length: message.UnknownLength}, "now", false)
	s.Write([]byte("xy"), false)
	var trailers message.Fields
	trailers.Add("grpc-status", "0")
	trailers.Add("content-length", "9")
	s.WriteTrailers(&trailers)
	r.read()
	r.expect("answer with trailers", &r.sent, "HEADERS 1 :status=103", "HEADERS 1 :status=200 date=now", `DATA 1 2 "xy"`,
		"HEADERS 1 grpc-status=0 end")
}

// TestMalformed are the cases of group D and of RFC 9113 sections 8.2 and 8.3: the stream is reset, the connection goes on.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		pairs        []string
	}{
		{"D45 cr in a value", "invalid byte in a field value", get("a", "b\rc")},
		{"D45 lf in a value", "invalid byte in a field value", get("a", "b\nc")},
		{"D45 nul in a value", "invalid byte in a field value", get("a", "b\x00c")},
		{"D45 lf in a name", "invalid field name", get("a\nb", "c")},
		{"D46 upper case", "invalid field name", get("Accept", "c")},
		{"D46 empty name", "invalid field name", get("", "c")},
		{"D46 space in a name", "invalid field name", get("a b", "c")},
		{"D46 colon in a name", "invalid field name", get("a:b", "c")},
		{"D47 leading space", "invalid byte in a field value", get("a", " b")},
		{"D47 trailing tab", "invalid byte in a field value", get("a", "b\t")},
		{"D48 connection", "connection-specific field", get("connection", "close")},
		{"D48 keep-alive", "connection-specific field", get("keep-alive", "x")},
		{"D48 proxy-connection", "connection-specific field", get("proxy-connection", "x")},
		{"D48 transfer-encoding", "connection-specific field", get("transfer-encoding", "chunked")},
		{"D55 upgrade", "connection-specific field", get("upgrade", "h2c")},
		{"D48 te", "connection-specific field", get("te", "gzip")},
		{"D49 two lengths", "invalid content-length", get("content-length", "0", "content-length", "0")},
		{"D49 length of letters", "invalid content-length", get("content-length", "+1")},
		{"D49 length and no body", "body is not as long as content-length", get("content-length", "1")},
		{"D50 no method", "invalid pseudo-header", []string{":scheme", "http", ":authority", "h", ":path", "/"}},
		{"D50 no scheme", "invalid pseudo-header", []string{":method", "GET", ":authority", "h", ":path", "/"}},
		{"D50 no path", "invalid pseudo-header", []string{":method", "GET", ":authority", "h", ":scheme", "http"}},
		{"D50 two paths", "invalid pseudo-header", get(":path", "/")},
		{"D50 unknown", "invalid pseudo-header", append([]string{":x", "y"}, get()...)},
		{"D50 status", "invalid pseudo-header", append([]string{":status", "200"}, get()...)},
		{"D50 behind a field", "invalid pseudo-header", []string{":method", "GET", ":scheme", "http", "a", "b", ":path", "/", ":authority", "h"}},
		{"D51 empty path", "invalid path", []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", ""}},
		{"D51 path without slash", "invalid path", []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "x"}},
		{"D51 absolute path", "invalid path", []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "http://h/"}},
		{"T34 star", "invalid path", []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "*"}},
		{"D51 method with space", "invalid method", []string{":method", "G T", ":scheme", "http", ":authority", "h", ":path", "/"}},
		{"D51 method with crlf", "invalid method", []string{":method", "G\r\nT", ":scheme", "http", ":authority", "h", ":path", "/"}},
		{"D51 scheme", "invalid scheme", []string{":method", "GET", ":scheme", "javascript", ":authority", "h", ":path", "/"}},
		{"D52 host differs", "authority and host differ", get("host", "other")},
		{"D52 two hosts", "authority and host differ", get("host", "h", "host", "g")},
		{"D54 connect with a path", "invalid connect request", []string{":method", "CONNECT", ":authority", "h:1", ":path", "/"}},
		{"D54 protocol without connect", "invalid pseudo-header", append([]string{":protocol", "websocket"}, get()...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t).greet()
			r.request(1, true, c.pairs...)
			r.request(3, true, get()...)
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.expect("told", &r.log, "refused "+c.reason, "head 3 GET h/ end")
			r.expect("sent", &r.sent, "RST 1 PROTOCOL_ERROR")
		})
	}
}

// TestAnswered are requests that are well formed and refused with a status, as HTTP/1 would.
func TestAnswered(t *testing.T) {
	path := func(p string) []string {
		return []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", p}
	}
	host := func(h string) []string {
		return []string{":method", "GET", ":scheme", "http", ":authority", h, ":path", "/"}
	}
	many := get()
	for range 200 {
		many = append(many, "a", "b")
	}
	for _, c := range []struct {
		name, status, reason string
		pairs                []string
	}{
		{"T37 dots", "400", "dot segment in the request target", path("/a/%2e%2e/b")},
		{"T38 escape", "400", "invalid escape in the request target", path("/%00")},
		{"T39 fragment", "400", "invalid byte in the request target", path("/a#b")},
		{"D51 space", "400", "invalid byte in the request target", path("/a b")},
		{"T40 eight bits", "400", "invalid byte in the request target", path("/\xff")},
		{"T41 long", "414", "request target too long", path("/" + strings.Repeat("a", 17<<10))},
		{"T32 user information", "400", "invalid host", host("u@h")},
		{"T32 no host", "400", "no host", []string{":method", "GET", ":scheme", "http", ":path", "/"}},
		{"S24 underscore", "400", "underscore in a framing field name", get("content_length", "5")},
		{"S27 expectation", "417", "unknown expectation", get("expect", "tea")},
		{"R75 large section", "431", "header section too large", get("a", strings.Repeat("x", 20<<10), "b", strings.Repeat("x", 20<<10))},
		{"R75 many fields", "431", "too many header fields", many},
		{"R76 body", "413", "body too large", post("content-length", "2000")},
		{"method", "501", "method too long", append([]string{":method", strings.Repeat("M", 33)}, get()[2:]...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(l *Limits) { l.BodyBytes = 1000 }).greet()
			end := c.status != "413"
			block := r.encode(c.pairs...)
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:min(len(block), MaxFrameBytes)], EndStream: end,
				EndHeaders: len(block) <= MaxFrameBytes})
			for rest := block[min(len(block), MaxFrameBytes):]; len(rest) > 0; {
				n := min(len(rest), MaxFrameBytes)
				r.WriteContinuation(1, n == len(rest), rest[:n])
				rest = rest[n:]
			}
			r.request(3, true, get()...)
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.expect("told", &r.log, "refused "+c.reason, "head 3 GET h/ end")
			want := []string{"HEADERS 1 :status=" + c.status + " content-length=0 end"}
			if !end {
				want = append(want, "RST 1 NO_ERROR")
			}
			r.expect("sent", &r.sent, want...)
		})
	}
}

// TestAccepted are odd requests that pass.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"D53 crumbs", get("cookie", "a=1", "x", "y", "cookie", "b=2", "cookie", "c"), "head 1 GET h/ cookie=a=1; b=2; c x=y end"},
		{"D52 host alone", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "h"}, "head 1 GET h/ end"},
		{"D52 the same twice", get("host", "h"), "head 1 GET h/ end"},
		{"T34 options", []string{":method", "OPTIONS", ":scheme", "http", ":authority", "h", ":path", "*"}, "head 1 OPTIONS h* end"},
		{"connect", []string{":method", "CONNECT", ":authority", "h:443"}, "head 1 CONNECT h:443/ end"},
		{"D54 websocket", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "h", ":path", "/chat"},
			"head 1 GET h/chat upgrade=websocket end"},
		{"D55 http2-settings", get("http2-settings", "x", "proxy-authorization", "y"), "head 1 GET h/ end"},
		{"S9 zeros", get("content-length", "00"), "head 1 GET h/ content-length=0 end"},
		{"S17 trailer", get("trailer", "content-length", "trailer", "x"), "head 1 GET h/ trailer=x end"},
		{"tab within", get("a", "b\tc"), "head 1 GET h/ a=b\tc end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t).greet()
			r.request(1, true, c.pairs...)
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.expect("told", &r.log, c.want)
		})
	}
}

func TestExpect(t *testing.T) {
	r := newRig(t).greet()
	r.request(1, false, post("expect", "100-Continue", "content-length", "3")...)
	r.feed()
	r.expect("S27", &r.log, "head 1 POST h/ content-length=3 length=3 expect")
}

// TestBodyLength: D49. The request to the origin must be given up, not completed.
func TestBodyLength(t *testing.T) {
	for name, write := range map[string]func(r *rig){
		"longer":            func(r *rig) { r.WriteData(1, false, []byte("abcd")) },
		"shorter":           func(r *rig) { r.WriteData(1, true, []byte("ab")) },
		"shorter, empty":    func(r *rig) { r.WriteData(1, true, nil) },
		"shorter, trailers": func(r *rig) { r.request(1, true, "x", "y") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).greet()
			r.request(1, false, post("content-length", "3")...)
			write(r)
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.expect("D49", &r.log, "head 1 POST h/ content-length=3 length=3", "reset 1 body is not as long as content-length")
			r.expect("D49", &r.sent, "RST 1 PROTOCOL_ERROR")
		})
	}
}

// TestWholeBody: D49. A body that is as long as declared is not whole before its end says so.
func TestWholeBody(t *testing.T) {
	for _, c := range []struct {
		name  string
		more  func(r *rig)
		after []string
	}{
		{"an end of its own", func(r *rig) { r.WriteData(1, true, nil) }, []string{"data 1 c end"}},
		{"trailers", func(r *rig) { r.request(1, true, "x", "y") }, []string{"data 1 c", "trailers 1 x=y"}},
		{"empty trailers", func(r *rig) { r.request(1, true) }, []string{"data 1 c end"}},
		{"more", func(r *rig) { r.WriteData(1, true, []byte("d")) }, []string{"reset 1 body is not as long as content-length"}},
		{"a reset", func(r *rig) { r.WriteRSTStream(1, h2.ErrCodeCancel) }, []string{"reset 1 reset by the client: CANCEL"}},
	} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/waits=%v", c.name, closed), func(t *testing.T) {
				r := newRig(t).greet()
				r.closed = closed
				left := r.session.recvLeft + r.session.taken
				r.request(1, false, post("content-length", "3")...)
				r.WriteData(1, false, []byte("a"))
				r.WriteData(1, false, []byte("bc"))
				if err := r.feedIn(5); err != nil {
					t.Fatal(err)
				}
				s := r.streams[0]
				r.closed = false
				r.session.Deliver(s)
				r.expect("before", &r.log, "head 1 POST h/ content-length=3 length=3", "data 1 ab")
				r.closed = closed
				c.more(r)
				if err := r.feed(); err != nil {
					t.Fatal(err)
				}
				r.closed = false
				r.session.Deliver(s)
				r.expect("after", &r.log, c.after...)
				r.session.Release(s)
				if now := r.session.recvLeft + r.session.taken; now != left {
					t.Errorf("%d bytes of the connection's window are lost", left-now)
				}
			})
		}
	}
}

func TestBodyLimit(t *testing.T) {
	r := newRig(t, func(l *Limits) { l.BodyBytes = 3 }).greet()
	r.request(1, false, post()...)
	r.WriteData(1, false, []byte("ab"))
	r.WriteData(1, false, []byte("cd"))
	r.WriteData(1, true, []byte("ef"))
	if err := r.feed(); err != nil {
		t.Fatal(err)
	}
	r.expect("R76", &r.log, "head 1 POST h/ length=-1", "data 1 ab", "reject 1 413 body too large")
}

// TestTrailersRefused: D50, D56.
func TestTrailersRefused(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		end          bool
		pairs        []string
	}{
		{"D50 pseudo-header", "pseudo-header in trailers", true, []string{":path", "/"}},
		{"D48 connection", "connection-specific field", true, []string{"connection", "x"}},
		{"no end", "trailers that do not end the stream", false, []string{"x", "y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t).greet()
			r.request(1, false, post()...)
			r.request(1, c.end, c.pairs...)
			if err := r.feed(); err != nil {
				t.Fatal(err)
			}
			r.expect("told", &r.log, "head 1 POST h/ length=-1", "reset 1 "+c.reason)
			r.expect("sent", &r.sent, "RST 1 PROTOCOL_ERROR")
		})
	}
}

// TestUncut: what is told does not depend on how the bytes were cut.
func TestUncut(t *testing.T) {
	write := func(r *rig) {
		r.WriteString(Preface)
		r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 10})
		block := r.encode(get("x", strings.Repeat("y", 300))...)
		r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:20], PadLength: 9, Priority: h2.PriorityParam{StreamDep: 7, Weight: 3}})
		r.WriteContinuation(1, false, nil)
		r.WriteContinuation(1, true, block[20:])
		r.WritePing(false, [8]byte{1})
		r.WriteRawFrame(0x42, 9, 5, []byte("unknown"))
		r.WriteDataPadded(1, false, []byte("abcdefgh"), make([]byte, 5))
		r.WriteWindowUpdate(0, 9)
		r.request(3, true, get()...)
		r.request(1, true, "sum", "1")
		r.WriteRSTStream(3, h2.ErrCodeCancel)
		r.WriteGoAway(0, h2.ErrCodeNo, []byte("bye"))
	}
	whole := newRig(t)
	write(whole)
	size := whole.Buffer.Len()
	if err := whole.feed(); err != nil {
		t.Fatal(err)
	}
	if len(whole.log) != 5 {
		t.Fatalf("told %q", whole.log)
	}
	for n := 1; n < size; n++ {
		r := newRig(t)
		write(r)
		if err := r.feedIn(n); err != nil {
			t.Fatal(err)
		}
		r.expect("told in pieces", &r.log, whole.log...)
		r.expect("sent in pieces", &r.sent, whole.sent...)
		if t.Failed() {
			t.Fatalf("in pieces of %d", n)
		}
	}
}
