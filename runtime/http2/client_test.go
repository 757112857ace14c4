package http2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// clientRig is a client with a server that writes frames with x/net's Framer, and a receiver that notes what it is told.
type clientRig struct {
	t       testing.TB
	client  Client
	limits  Limits
	counts  Counts
	out     *Output
	streams map[uint32]*Stream

	bytes.Buffer // what the server has written
	*h2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	log     []string
}

func newClientRig(t testing.TB) *clientRig {
	r := &clientRig{t: t, limits: DefaultLimits, out: NewOutput(), streams: map[uint32]*Stream{}}
	r.Framer = h2.NewFramer(&r.Buffer, nil)
	r.Framer.AllowIllegalWrites = true
	r.encoder = hpack.NewEncoder(&r.block)
	r.client.Begin(&r.limits, &r.counts, r)
	r.client.Turn(r.out, 1e9)
	return r
}

// open asks for something.
func (r *clientRig) open(method string, end bool) *Stream {
	req := &message.Request{Method: method, Authority: "a", Target: "/"}
	block, err := AppendRequest(nil, req, "http", true)
	if err != nil {
		r.t.Fatal(err)
	}
	s := &Stream{Response: new(message.Response)}
	r.client.Open(s, block, method == "HEAD", end)
	r.streams[s.ID()] = s
	return s
}

// say writes a header section of the server's.
func (r *clientRig) say(id uint32, end bool, pairs ...string) {
	r.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		r.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	r.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: r.block.Bytes(), EndStream: end, EndHeaders: true})
}

// feed has the client read what the server has written, a few bytes at a time.
func (r *clientRig) feed(step int) *Error {
	var in []byte
	for r.Len() > 0 {
		in = append(in, r.Next(step)...)
		n, bad := r.client.Feed(in)
		if bad != nil {
			return bad
		}
		in = in[n:]
	}
	return nil
}

// wrote describes what the client has written, without its first SETTINGS.
func (r *clientRig) wrote() (list []string) {
	in := bytes.NewReader(bytes.TrimPrefix(r.out.Dst, []byte(Preface)))
	framer := h2.NewFramer(nil, in)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			r.out.Begin(nil)
			return list
		}
		switch f := f.(type) {
		case *h2.RSTStreamFrame:
			list = append(list, fmt.Sprint("reset ", f.StreamID, " ", f.ErrCode))
		case *h2.GoAwayFrame:
			list = append(list, fmt.Sprint("goaway ", f.LastStreamID, " ", f.ErrCode))
		case *h2.DataFrame:
			list = append(list, fmt.Sprint("data ", f.StreamID, " ", len(f.Data()), " ", f.StreamEnded()))
		case *h2.WindowUpdateFrame:
			list = append(list, fmt.Sprint("window ", f.StreamID, " ", f.Increment))
		}
	}
}

func (r *clientRig) note(s *Stream, format string, a ...any) {
	r.log = append(r.log, fmt.Sprint(s.ID(), " ")+fmt.Sprintf(format, a...))
}

func (r *clientRig) Interim(s *Stream) { r.note(s, "interim %d", s.Response.Status) }
func (r *clientRig) Head(s *Stream, end bool) {
	p := s.Response
	line := fmt.Sprintf("head %d length=%d bodiless=%v end=%v", p.Status, p.Length, p.Bodiless, end)
	for i := range p.Header.Len() {
		name, value := p.Header.At(i)
		line += " " + name + "=" + value
	}
	r.note(s, "%s", line)
}
func (r *clientRig) Data(s *Stream, p []byte, end bool) {
	if len(p) > 0 || end {
		r.note(s, "data %d %v", len(p), end)
	}
}
func (r *clientRig) Trailers(s *Stream, f *message.Fields) { r.note(s, "trailers %d", f.Len()) }
func (r *clientRig) Reset(s *Stream, why *Error)           { r.note(s, "reset %v %v", why.Code, why) }

// TestClient tells what becomes of what servers say. U81, U82, U84, U85, D57.
func TestClient(t *testing.T) {
	cases := []struct {
		name   string
		method string
		end    bool // of the request
		server func(r *clientRig)
		log    string // of the receiver, joined with "; "
		wrote  string // by the client
		bad    string
	}{
		{"whole head", "GET", true, func(r *clientRig) { r.say(1, true, ":status", "204", "x-a", "b") },
			"1 head 204 length=0 bodiless=true end=true x-a=b", "", ""},
		{"body", "GET", true, func(r *clientRig) {
			r.say(1, false, ":status", "200", "content-length", "5")
			r.WriteData(1, true, []byte("hello"))
		}, "1 head 200 length=5 bodiless=false end=false content-length=5; 1 data 5 true", "", ""},
		{"trailers only", "POST", false, func(r *clientRig) { r.say(1, true, ":status", "200", "grpc-status", "5") },
			"1 head 200 length=0 bodiless=false end=true grpc-status=5", "", ""},
		{"trailers", "GET", true, func(r *clientRig) {
			r.say(1, false, ":status", "200")
			r.WriteData(1, false, []byte("hello"))
			r.say(1, true, "grpc-status", "0", "content-type", "no")
		}, "1 head 200 length=-1 bodiless=false end=false; 1 data 5 false; 1 trailers 1", "", ""},
		{"interim", "GET", true, func(r *clientRig) {
			r.say(1, false, ":status", "103", "link", "a")
			r.say(1, true, ":status", "404")
		}, "1 interim 103; 1 head 404 length=0 bodiless=false end=true", "", ""},
		{"HEAD", "HEAD", true, func(r *clientRig) { r.say(1, true, ":status", "200", "content-length", "9") },
			"1 head 200 length=9 bodiless=true end=true content-length=9", "", ""},
		{"U84 body after HEAD", "HEAD", true, func(r *clientRig) {
			r.say(1, false, ":status", "200", "content-length", "1")
			r.WriteData(1, true, []byte("x"))
		}, "1 head 200 length=1 bodiless=true end=false content-length=1; 1 reset PROTOCOL_ERROR body is not as long as content-length",
			"reset 1 PROTOCOL_ERROR", ""},
		{"U82 short body", "GET", true, func(r *clientRig) {
			r.say(1, false, ":status", "200", "content-length", "6")
			r.WriteData(1, true, []byte("hello"))
		}, "1 head 200 length=6 bodiless=false end=false content-length=6; 1 reset PROTOCOL_ERROR body is not as long as content-length",
			"reset 1 PROTOCOL_ERROR", ""},
		{"U82 two lengths", "GET", true, func(r *clientRig) { r.say(1, true, ":status", "200", "content-length", "0", "content-length", "0") },
			"1 reset PROTOCOL_ERROR invalid content-length", "reset 1 PROTOCOL_ERROR", ""},
		{"U81 line feed", "GET", true, func(r *clientRig) { r.say(1, true, ":status", "200", "x-a", "b\nc: d") },
			"1 reset PROTOCOL_ERROR invalid byte in a field value", "reset 1 PROTOCOL_ERROR", ""},
		{"D57 connection", "GET", true, func(r *clientRig) { r.say(1, true, ":status", "200", "connection", "close") },
			"1 reset PROTOCOL_ERROR connection-specific field", "reset 1 PROTOCOL_ERROR", ""},
		{"no status", "GET", true, func(r *clientRig) { r.say(1, true, "x-a", "b") }, "1 reset PROTOCOL_ERROR invalid status", "reset 1 PROTOCOL_ERROR", ""},
		{"request's pseudo", "GET", true, func(r *clientRig) { r.say(1, true, ":status", "200", ":path", "/") },
			"1 reset PROTOCOL_ERROR invalid pseudo-header", "reset 1 PROTOCOL_ERROR", ""},
		{"101", "GET", true, func(r *clientRig) { r.say(1, false, ":status", "101") }, "1 reset PROTOCOL_ERROR invalid status", "reset 1 PROTOCOL_ERROR", ""},
		{"status 0200", "GET", true, func(r *clientRig) { r.say(1, true, ":status", "0200") }, "1 reset PROTOCOL_ERROR invalid status", "reset 1 PROTOCOL_ERROR", ""},
		{"U85 endless interims", "GET", true, func(r *clientRig) {
			for range 9 {
				r.say(1, false, ":status", "102")
			}
		}, strings.Repeat("1 interim 102; ", 8) + "1 reset ENHANCE_YOUR_CALM too many interim responses", "reset 1 ENHANCE_YOUR_CALM", ""},
		{"U85 large head", "GET", true, func(r *clientRig) {
			r.say(1, true, append([]string{":status", "200"}, slices.Repeat([]string{"x-a", strings.Repeat("a", 2<<10)}, 20)...)...)
		},
			"1 reset NO_ERROR header section too large", "reset 1 CANCEL", ""},
		{"data first", "GET", true, func(r *clientRig) { r.WriteData(1, true, []byte("x")) }, "1 reset PROTOCOL_ERROR data before a head", "reset 1 PROTOCOL_ERROR", ""},
		{"refused", "POST", false, func(r *clientRig) { r.WriteRSTStream(1, h2.ErrCodeRefusedStream) },
			"1 reset REFUSED_STREAM reset by the peer: REFUSED_STREAM", "", ""},
		{"goaway before", "GET", true, func(r *clientRig) { r.WriteGoAway(0, h2.ErrCodeNo, nil) },
			"1 reset REFUSED_STREAM reset by the peer: REFUSED_STREAM", "", ""},
		{"goaway behind", "GET", true, func(r *clientRig) {
			r.WriteGoAway(1, h2.ErrCodeNo, nil)
			r.say(1, true, ":status", "200")
		}, "1 head 200 length=0 bodiless=false end=true", "", ""},
		{"answer, then NO_ERROR", "POST", false, func(r *clientRig) {
			r.say(1, true, ":status", "200")
			r.WriteRSTStream(1, h2.ErrCodeNo)
		}, "1 head 200 length=0 bodiless=false end=true; 1 reset NO_ERROR reset by the peer: NO_ERROR", "", ""},
		{"stream of nobody", "GET", true, func(r *clientRig) { r.say(3, true, ":status", "200") },
			"1 reset PROTOCOL_ERROR frame on an idle stream", "goaway 0 PROTOCOL_ERROR", "frame on an idle stream"},
		{"pushed", "GET", true, func(r *clientRig) {
			r.WritePushPromise(h2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: []byte{0x82}, EndHeaders: true})
		}, "1 reset PROTOCOL_ERROR push promise", "goaway 0 PROTOCOL_ERROR", "push promise"},
		{"even stream", "GET", true, func(r *clientRig) { r.say(2, true, ":status", "200") },
			"1 reset PROTOCOL_ERROR invalid stream id", "goaway 0 PROTOCOL_ERROR", "invalid stream id"},
		{"F67 more than the window", "GET", true, func(r *clientRig) {
			r.say(1, false, ":status", "200")
			for range 5 {
				r.WriteData(1, false, make([]byte, 16<<10))
			}
		}, "1 head 200 length=-1 bodiless=false end=false; " + strings.Repeat("1 data 16384 false; ", 4) + "1 reset FLOW_CONTROL_ERROR more data than the window",
			"goaway 0 FLOW_CONTROL_ERROR", "more data than the window"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newClientRig(t)
			r.WriteSettings()
			r.WriteSettingsAck()
			if bad := r.feed(100); bad != nil {
				t.Fatal(bad)
			}
			r.open(c.method, c.end)
			r.wrote()
			c.server(r)
			bad := r.feed(1 << 20)
			if c.bad == "" && bad != nil || c.bad != "" && (bad == nil || bad.Reason != c.bad) {
				t.Errorf("%v, not %q", bad, c.bad)
			}
			log := strings.ReplaceAll(strings.Join(r.log, "; "), "reset by the client", "reset by the peer")
			if log != c.log {
				t.Errorf("it was told\n%s\nnot\n%s", log, c.log)
			}
			if wrote := strings.Join(r.wrote(), "; "); wrote != c.wrote {
				t.Errorf("it wrote %q, not %q", wrote, c.wrote)
			}
		})
	}
}

// TestClientWindows: a stream's window opens with Credit and not before, the connection's at once, and what is sent keeps to the server's.
func TestClientWindows(t *testing.T) {
	r := newClientRig(t)
	if r.client.Slots() != 0 {
		t.Error("there are slots before the server has said how many")
	}
	r.WriteSettings(h2.Setting{ID: h2.SettingMaxConcurrentStreams, Val: 2}, h2.Setting{ID: h2.SettingInitialWindowSize, Val: 10})
	r.WriteSettingsAck()
	r.feed(7)
	if r.client.Slots() != 2 {
		t.Errorf("%d slots", r.client.Slots())
	}
	s := r.open("POST", false)
	r.wrote()
	if s.Window() != 10 || r.client.Slots() != 1 {
		t.Errorf("window %d, slots %d", s.Window(), r.client.Slots())
	}
	s.Write(make([]byte, 10), false)
	r.WriteWindowUpdate(1, 5)
	r.feed(7)
	s.Write(make([]byte, 5), false)
	s.WriteTail(nil)
	if got := r.wrote(); !slices.Equal(got, []string{"data 1 10 false", "data 1 5 true"}) && !slices.Equal(got, []string{"data 1 10 false", "data 1 5 false", "data 1 0 true"}) {
		t.Error(got)
	}
	r.say(1, false, ":status", "200")
	for range 4 {
		r.WriteData(1, false, make([]byte, 16<<10))
	}
	r.feed(1 << 20)
	if got := r.wrote(); len(got) != 0 {
		t.Error("a window was opened before its bytes were taken:", got)
	}
	r.client.Credit(s, 64<<10)
	if got := r.wrote(); !slices.Equal(got, []string{"window 1 65536"}) {
		t.Error(got)
	}
	if r.client.Widen(s, 0); len(r.wrote()) != 0 {
		t.Error("a frame for nothing")
	}
	r.client.Widen(s, 1000)
	if got := r.wrote(); !slices.Equal(got, []string{"window 1 1000"}) || s.recvLeft != r.limits.StreamWindow+1000 {
		t.Error(got, s.recvLeft)
	}
	r.client.Release(s)
	if r.client.Widen(s, 1000); s.recvMost != r.limits.StreamWindow+1000 {
		t.Error("a stream is widened that is over")
	}
	if got := r.wrote(); !slices.Equal(got, []string{"reset 1 CANCEL"}) || r.client.Slots() != 2 {
		t.Error(got, r.client.Slots())
	}
	r.WriteData(1, true, []byte("late"))
	r.WriteRSTStream(1, h2.ErrCodeNo)
	if bad := r.feed(3); bad != nil {
		t.Error(bad)
	}
	r.WriteGoAway(1, h2.ErrCodeNo, nil)
	r.feed(100)
	if r.client.Usable() || !r.client.Finished() {
		t.Error("the server's GOAWAY is not heard")
	}
}

// FuzzClient: whatever a server says, the client neither panics nor holds more than its bounds, and pieces change nothing.
func FuzzClient(f *testing.F) {
	r := newClientRig(f)
	r.WriteSettings(h2.Setting{ID: h2.SettingMaxConcurrentStreams, Val: 9})
	r.say(1, false, ":status", "200")
	r.WriteData(1, false, []byte("hello"))
	r.say(1, true, "grpc-status", "0")
	r.say(3, true, ":status", "404")
	r.WriteGoAway(3, 0, nil)
	f.Add(r.Bytes(), 5)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = min(max(step, 1), 1<<16)
		var logs [2]string
		for i, n := range []int{1 << 20, step} {
			r := newClientRig(t)
			r.client.flags |= sessionSettled
			for j := range 3 {
				r.open("POST", j == 0)
			}
			r.Write(in)
			bad := r.feed(n)
			log := slices.DeleteFunc(r.log, func(line string) bool { return strings.Contains(line, "data ") })
			logs[i] = fmt.Sprint(log, bad)
		}
		if logs[0] != logs[1] {
			t.Errorf("in one piece: %s\nin pieces of %d: %s", logs[0], step, logs[1])
		}
	})
}
