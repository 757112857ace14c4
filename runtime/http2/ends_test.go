package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
)

// TestConnectionEnds are the faults that end a connection, by RFC 9113 section and threat.
func TestConnectionEnds(t *testing.T) {
	open := func(r *rig) { r.request(1, false, post()...) }
	done := func(r *rig) {
		r.answer = func(s *Stream) { respond(s, "") }
		r.request(1, true, get()...)
		r.feed()
		r.release()
	}
	for _, c := range []struct {
		name, reason string
		code         Code
		write        func(r *rig)
	}{
		{"4.2 frame too large", "frame too large", h2.ErrCodeFrameSize, func(r *rig) { open(r); r.WriteData(1, false, make([]byte, MaxFrameBytes+1)) }},
		{"5.1 data on an idle stream", "frame on an idle stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteData(1, true, nil) }},
		{"5.1 reset of an idle stream", "frame on an idle stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteRSTStream(1, 0) }},
		{"5.1 window of an idle stream", "frame on an idle stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteWindowUpdate(1, 1) }},
		{"F59 data after the end", "frame after the end of its stream", h2.ErrCodeStreamClosed, func(r *rig) { r.request(1, true, get()...); r.WriteData(1, true, nil) }},
		{"F59 headers after the end", "frame after the end of its stream", h2.ErrCodeStreamClosed, func(r *rig) { r.request(1, true, get()...); r.request(1, true, "a", "b") }},
		{"F59 data after both ends", "frame after the end of its stream", h2.ErrCodeStreamClosed, func(r *rig) { done(r); r.WriteData(1, true, []byte("x")) }},
		{"F59 headers after both ends", "frame after the end of its stream", h2.ErrCodeStreamClosed, func(r *rig) { done(r); r.request(1, true, get()...) }},
		{"F59 data after its own reset", "frame after the end of its stream", h2.ErrCodeStreamClosed, func(r *rig) { open(r); r.WriteRSTStream(1, 8); r.WriteData(1, false, []byte("x")) }},
		{"F68 even id", "invalid stream id", h2.ErrCodeProtocol, func(r *rig) { r.request(2, true, get()...) }},
		{"F68 id backwards", "stream id goes backwards", h2.ErrCodeProtocol, func(r *rig) { r.request(5, true, get()...); r.request(3, true, get()...) }},
		{"6.1 data on no stream", "frame on the wrong stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteData(0, false, []byte("x")) }},
		{"6.1 padding", "padding longer than its frame", h2.ErrCodeProtocol, func(r *rig) { open(r); r.WriteRawFrame(h2.FrameData, h2.FlagDataPadded, 1, []byte{5, 0, 0}) }},
		{"6.2 headers on no stream", "frame on the wrong stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(h2.FrameHeaders, h2.FlagHeadersEndHeaders, 0, nil) }},
		{"6.2 padding", "padding longer than its frame", h2.ErrCodeProtocol, func(r *rig) {
			r.WriteRawFrame(h2.FrameHeaders, h2.FlagHeadersEndHeaders|h2.FlagHeadersPadded, 1, []byte{9, 0x82})
		}},
		{"F59 headers that depend on themselves", "stream depends on itself", h2.ErrCodeProtocol, func(r *rig) {
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(get()...), EndHeaders: true, Priority: h2.PriorityParam{StreamDep: 1}})
		}},
		{"F59 priority length", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { r.WriteRawFrame(h2.FramePriority, 0, 1, make([]byte, 4)) }},
		{"F59 priority on itself", "stream depends on itself", h2.ErrCodeProtocol, func(r *rig) { r.WritePriority(3, h2.PriorityParam{StreamDep: 3}) }},
		{"6.4 reset length", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { open(r); r.WriteRawFrame(h2.FrameRSTStream, 0, 1, make([]byte, 3)) }},
		{"6.5 settings on a stream", "frame on the wrong stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(h2.FrameSettings, 0, 1, nil) }},
		{"6.5 settings length", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { r.WriteRawFrame(h2.FrameSettings, 0, 0, make([]byte, 5)) }},
		{"6.5 acknowledgement with settings", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { r.WriteRawFrame(h2.FrameSettings, h2.FlagSettingsAck, 0, make([]byte, 6)) }},
		{"6.5.2 push", "invalid setting", h2.ErrCodeProtocol, func(r *rig) { r.WriteSettings(h2.Setting{ID: h2.SettingEnablePush, Val: 2}) }},
		{"6.5.2 window", "initial window too large", h2.ErrCodeFlowControl, func(r *rig) { r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1 << 31}) }},
		{"6.5.2 frame size", "invalid setting", h2.ErrCodeProtocol, func(r *rig) { r.WriteSettings(h2.Setting{ID: h2.SettingMaxFrameSize, Val: 1}) }},
		{"F62 settings", "too many settings in a frame", h2.ErrCodeEnhanceYourCalm, func(r *rig) { r.WriteRawFrame(h2.FrameSettings, 0, 0, make([]byte, 6*33)) }},
		{"6.6 push promise", "push promise", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(h2.FramePushPromise, 4, 1, make([]byte, 8)) }},
		{"6.7 ping length", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { r.WriteRawFrame(h2.FramePing, 0, 0, make([]byte, 7)) }},
		{"6.7 ping on a stream", "frame on the wrong stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(h2.FramePing, 0, 1, make([]byte, 8)) }},
		{"6.8 goaway on a stream", "frame on the wrong stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(h2.FrameGoAway, 0, 1, make([]byte, 8)) }},
		{"6.8 goaway length", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { r.WriteRawFrame(h2.FrameGoAway, 0, 0, make([]byte, 7)) }},
		{"F59 window update of zero", "window update of zero", h2.ErrCodeProtocol, func(r *rig) { open(r); r.WriteWindowUpdate(1, 0) }},
		{"F59 connection window of zero", "window update of zero", h2.ErrCodeProtocol, func(r *rig) { r.WriteWindowUpdate(0, 0) }},
		{"F64 connection window", "window too large", h2.ErrCodeFlowControl, func(r *rig) { r.WriteWindowUpdate(0, 1<<31-1) }},
		{"F64 window by settings", "window too large", h2.ErrCodeFlowControl, func(r *rig) {
			open(r)
			r.WriteWindowUpdate(1, 1<<31-1-65535)
			r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 65536})
		}},
		{"6.9 window update length", "invalid frame length", h2.ErrCodeFrameSize, func(r *rig) { r.WriteRawFrame(h2.FrameWindowUpdate, 0, 0, make([]byte, 3)) }},
		{"H3 error", "the client ended it for an error", h2.ErrCodeNo, func(r *rig) { open(r); r.WriteGoAway(0, h2.ErrCodeInternal, nil) }},
		{"6.10 continuation alone", "continuation out of place", h2.ErrCodeProtocol, func(r *rig) { r.WriteContinuation(1, true, nil) }},
		{"6.10 another frame between", "continuation out of place", h2.ErrCodeProtocol, func(r *rig) {
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(get()...)})
			r.WritePing(false, [8]byte{})
		}},
		{"6.10 another stream", "continuation out of place", h2.ErrCodeProtocol, func(r *rig) {
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(get()...)})
			r.WriteContinuation(3, true, nil)
		}},
		{"F60 continuations", "too many continuation frames", h2.ErrCodeEnhanceYourCalm, func(r *rig) {
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(get()...)})
			for range 9 {
				r.WriteContinuation(1, false, nil)
			}
		}},
		{"F60 large continuations", "header block too large", h2.ErrCodeEnhanceYourCalm, func(r *rig) {
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, MaxFrameBytes)})
			for range 4 {
				r.WriteContinuation(1, false, make([]byte, MaxFrameBytes))
			}
		}},
		{"F63 bomb", "header section far too large", h2.ErrCodeEnhanceYourCalm, func(r *rig) {
			block := r.encode(get("bomb", strings.Repeat("x", 3000))...)
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: append(block, bytes.Repeat([]byte{0xbe}, 10000)...), EndHeaders: true})
		}},
		{"F63 one string", "header section far too large", h2.ErrCodeEnhanceYourCalm, func(r *rig) {
			block := append(r.encode(get()...), 0x00, 0x01, 'a', 0x7f, 0xff, 0xff, 0x07)
			r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
		}},
		{"RFC 9218 7.1 on a stream", "frame on the wrong stream", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(framePriorityUpdate, 0, 1, make([]byte, 4)) }},
		{"RFC 9218 7.1 push stream", "invalid priority update", h2.ErrCodeProtocol, func(r *rig) { r.WriteRawFrame(framePriorityUpdate, 0, 0, []byte{0, 0, 0, 2}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t).greet()
			c.write(r)
			r.WritePing(false, [8]byte{1})
			err := r.feed()
			if err == nil || err.Reason != c.reason {
				t.Fatalf("got %v, want %s", err, c.reason)
			}
			if last := r.sent[len(r.sent)-1]; !strings.HasPrefix(last, "GOAWAY ") || !strings.HasSuffix(last, " "+c.code.String()) {
				t.Errorf("sent %q, want GOAWAY %v last", r.sent, c.code)
			}
			n := uint64(0)
			r.counts.Each(func(scope, reason string, count uint64) {
				if scope == "connection" && reason == c.reason {
					n = count
				}
			})
			if n != 1 {
				t.Errorf("counted %d times", n)
			}
			for _, s := range r.streams {
				if s.ID() != 0 && !s.Gone() {
					t.Errorf("stream %d was not told", s.ID())
				}
			}
			if used, again := r.session.Feed([]byte("more")); used != 0 || again != err {
				t.Errorf("went on after the end: %d, %v", used, again)
			}
		})
	}
}

// TestCompression are invalid header blocks (RFC 7541, F63).
func TestCompression(t *testing.T) {
	for name, block := range map[string][]byte{
		"index 0":                       {0x80},
		"6.1 index beyond the tables":   {0xff, 0x7f},
		"5.1 integer too long":          {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"truncated":                     {0x00, 0x03, 'a'},
		"6.3 update beyond the limit":   {0x3f, 0xe2, 0x1f},
		"4.2 update behind a field":     {0x40, 0x01, 'a', 0x01, 'b', 0x20},
		"5.2 padding of eight bits":     {0x00, 0x01, 'a', 0x82, 0x1f, 0xff},
		"5.2 padding of zeros":          {0x00, 0x01, 'a', 0x81, 0x18},
		"5.2 end of string in a string": {0x00, 0x01, 'a', 0x84, 0xff, 0xff, 0xff, 0xff},
	} {
		r := newRig(t).greet()
		r.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true, EndHeaders: true})
		if err := r.feed(); err == nil || err.Code != h2.ErrCodeCompression {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestTablesStayInStep: sections that are refused, or for streams that are gone, count for the dynamic table like others.
func TestTablesStayInStep(t *testing.T) {
	r := newRig(t, func(l *Limits) { l.Streams = 1 }).greet()
	r.request(1, false, post()...)
	r.request(3, true, get("x-refused", "1")...)   // one too many
	r.request(1, false, "x-bad", "2", ":path", "") // resets stream 1
	r.request(1, true, "x-late", "3")              // sent before the client knew
	if err := r.feed(); err != nil {
		t.Fatal(err)
	}
	r.release()
	r.request(5, true, get("x-refused", "1", "x-bad", "2", "x-late", "3")...)
	if err := r.feed(); err != nil {
		t.Fatal(err)
	}
	r.expect("told", &r.log, "head 1 POST h/ length=-1", "refused too many streams", "reset 1 pseudo-header in trailers",
		"head 5 GET h/ x-refused=1 x-bad=2 x-late=3 end")
	r.expect("F66", &r.sent, "RST 3 REFUSED_STREAM", "RST 1 PROTOCOL_ERROR")
}

// TestStreamsInUse: F58, F66. What the client has reset counts until the work for it has ended; what is answered whole does not, up to
// as many again.
func TestStreamsInUse(t *testing.T) {
	few := func(l *Limits) { l.Streams = 3 }
	for _, c := range []struct {
		name    string
		unit    func(r *rig, id uint32)
		refused uint32 // the first one that is
	}{
		{"reset", func(r *rig, id uint32) { r.WriteRSTStream(id, h2.ErrCodeCancel) }, 7},
		{"unanswered", func(r *rig, id uint32) {}, 7},
		{"answered", func(r *rig, id uint32) {
			r.feed()
			if s := r.session.find(id); s != nil {
				respond(s, "")
				r.read()
			}
		}, 13},
	} {
		r := newRig(t, few).greet()
		for id := uint32(1); id < 20; id += 2 {
			r.request(id, true, get()...)
			c.unit(r, id)
		}
		if err := r.feed(); err != nil {
			t.Fatal(err)
		}
		refused := ""
		for _, line := range r.sent {
			if strings.HasSuffix(line, "REFUSED_STREAM") {
				refused = line
				break
			}
		}
		if want := fmt.Sprintf("RST %d REFUSED_STREAM", c.refused); refused != want {
			t.Errorf("%s: the first refused is %q, want %q", c.name, refused, want)
		}
	}
}

// TestFloods: 20,000 units of every kind end in ENHANCE_YOUR_CALM, or in a harder word, after at most limit units.
func TestFloods(t *testing.T) {
	quick := func(s *Stream) { respond(s, "") }
	for _, c := range []struct {
		name  string
		limit int
		code  Code
		unit  func(r *rig, i int)
	}{
		{"F58 rapid reset", 200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.request(uint32(2*i+1), true, get()...)
			r.WriteRSTStream(uint32(2*i+1), h2.ErrCodeCancel)
		}},
		{"F58 rapid reset of answered requests", 300, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.answer = quick
			r.request(uint32(2*i+1), true, get()...)
			r.WriteRSTStream(uint32(2*i+1), h2.ErrCodeCancel)
		}},
		{"F59 requests that break themselves", 200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.request(uint32(2*i+1), false, post("content-length", "1")...)
			r.WriteData(uint32(2*i+1), false, []byte("ab"))
		}},
		{"F59 F64 windows that are too large", 200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.request(uint32(2*i+1), false, post()...)
			r.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
		}},
		{"F59 malformed requests", 200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.request(uint32(2*i+1), true, "A", "b") }},
		{"F61 refused requests", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.request(uint32(2*i+1), true, get("content_length", "")...)
		}},
		{"F61 ping", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WritePing(false, [8]byte{}) }},
		{"F61 ping acknowledgements", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WritePing(true, [8]byte{}) }},
		{"F61 settings", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WriteSettings() }},
		{"F61 settings acknowledgements", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WriteSettingsAck() }},
		{"F61 priority", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WritePriority(7, h2.PriorityParam{}) }},
		{"F61 priority updates", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.WriteRawFrame(framePriorityUpdate, 0, 0, []byte{0, 0, 0, 1, 'u', '=', '1'})
		}},
		{"F61 empty data", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
			}
			r.WriteData(1, false, nil)
		}},
		{"F61 padding alone", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
			}
			r.WriteDataPadded(1, false, nil, make([]byte, 9))
		}},
		{"F61 tiny data", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
			}
			r.WriteData(1, false, []byte("abcd"))
		}},
		{"F61 tiny data behind an upload", 2100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
				for range 2000 {
					r.WriteData(1, false, []byte("as good as any"))
				}
			}
			r.WriteData(1, false, []byte("x"))
		}},
		{"F61 tiny data for a stream that was reset", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post("content-length", "1")...)
			}
			r.WriteData(1, false, []byte("xy"))
		}},
		{"data for a stream that was reset", 5000, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post("content-length", "1")...)
			}
			r.WriteData(1, false, make([]byte, MaxFrameBytes))
		}},
		{"F61 window updates", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WriteWindowUpdate(0, 1) }},
		{"F61 window updates for closed streams", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.answer = quick
			if i == 0 {
				r.request(1, true, get()...)
			}
			r.WriteWindowUpdate(1, 1)
		}},
		{"F61 unknown frames", 1100, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WriteRawFrame(0x77, 0, 0, []byte("x")) }},
		{"F61 empty headers", 200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.request(uint32(2*i+1), true, get("", "")...) }},
		{"F66 streams", 1200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.request(uint32(2*i+1), true, get()...) }},
		{"F68 goaway", 110, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) { r.WriteGoAway(0, 0, nil) }},
		{"resets of closed streams", 200, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			r.answer = quick
			if i == 0 {
				r.request(1, true, get()...)
			}
			r.WriteRSTStream(1, 0)
		}},
		{"data for streams that were reset long ago", 1300, h2.ErrCodeEnhanceYourCalm, func(r *rig, i int) {
			if i == 0 {
				for id := range uint32(100) {
					r.request(2*id+1, true, "A", "b")
				}
			}
			r.WriteData(1, false, []byte("x"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t).greet()
			for i := range 20000 {
				c.unit(r, i)
				if i%8 == 7 { // the client's next packet
					if err := r.feed(); err != nil {
						if err.Code != c.code {
							t.Errorf("ended with %v (%s)", err.Code, err.Reason)
						}
						if i > c.limit {
							t.Errorf("ended after %d units, want %d", i, c.limit)
						}
						return
					}
					r.now += int64(time.Millisecond)
					r.release()
				}
			}
			t.Fatal("went on")
		})
	}
}

// TestHonest: what clients do that mean well does not end a connection, however long it goes on.
func TestHonest(t *testing.T) {
	for name, unit := range map[string]func(r *rig, i int){
		"requests with window updates": func(r *rig, i int) {
			r.request(uint32(2*i+1), true, get()...)
			r.WriteWindowUpdate(0, 5)
			r.WriteWindowUpdate(uint32(2*i+1), 5)
		},
		"a ping for every answer": func(r *rig, i int) {
			r.request(uint32(2*i+1), true, get()...)
			r.WritePing(false, [8]byte{1})
		},
		"one request in five cancelled": func(r *rig, i int) {
			r.request(uint32(2*i+1), true, get()...)
			if i%5 == 0 {
				r.WriteRSTStream(uint32(2*i+1), h2.ErrCodeCancel)
			}
		},
		"windows opened by 4 KiB": func(r *rig, i int) {
			r.request(uint32(2*i+1), true, get()...)
			for range 8 {
				r.WriteWindowUpdate(0, 1)
			}
		},
		"a little data at a time": func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
			}
			r.WriteData(1, false, []byte("tick!"))
		},
		"messages whose head goes alone": func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
			}
			r.WriteData(1, false, []byte{0, 0, 0, 0, 1})
			r.WriteData(1, false, []byte("x"))
		},
		"bodies of a byte": func(r *rig, i int) {
			r.request(uint32(2*i+1), false, post()...)
			r.WriteData(uint32(2*i+1), false, []byte("x"))
			r.WriteData(uint32(2*i+1), true, nil)
		},
		"a byte each ten milliseconds": func(r *rig, i int) {
			if i == 0 {
				r.request(1, false, post()...)
			}
			r.WriteData(1, false, []byte("x"))
			r.now += int64(10 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).greet()
			r.answer = func(s *Stream) {
				if s.Complete() {
					respond(s, "hello")
				}
			}
			r.ended = r.answer
			r.WriteWindowUpdate(0, 1<<30)
			for i := range 20000 {
				unit(r, i)
				if err := r.feed(); err != nil {
					t.Fatalf("ended after %d: %v", i, err)
				}
				r.release()
				r.log, r.sent = r.log[:0], r.sent[:0]
			}
		})
	}
}

func TestSettingsTimeout(t *testing.T) {
	r := newRig(t)
	r.WriteString(Preface)
	r.WriteSettings()
	r.feed()
	deadline := r.session.Deadline()
	if deadline != r.now+int64(settingsTime) {
		t.Fatalf("deadline %d", deadline)
	}
	r.now = deadline
	r.session.Turn(r.out, r.now)
	r.session.Expire()
	r.read()
	if last := r.sent[len(r.sent)-1]; last != "GOAWAY 0 SETTINGS_TIMEOUT" || r.session.Failed() == nil || r.session.Deadline() != 0 {
		t.Errorf("sent %q", r.sent)
	}
}

// TestShare: one Feed looks at a bounded number of frames, and says that there are more.
func TestShare(t *testing.T) {
	r := newRig(t).greet()
	for range maxTurnFrames + 10 {
		r.WritePing(false, [8]byte{})
	}
	r.session.Turn(r.out, r.now)
	n, err := r.session.Feed(r.Bytes())
	if err != nil || n != maxTurnFrames*17 || !r.session.More() {
		t.Errorf("took %d bytes, %v, more %v", n, err, r.session.More())
	}
	if n, err = r.session.Feed(r.Bytes()[n:]); err != nil || n != 170 || r.session.More() {
		t.Errorf("then took %d bytes, %v, more %v", n, err, r.session.More())
	}
}

// TestPartial: R70 runs while a unit is there in part, and only then.
func TestPartial(t *testing.T) {
	r := newRig(t).greet()
	r.request(1, true, get()...)
	whole := bytes.Clone(r.Bytes())
	r.Buffer.Truncate(r.Buffer.Len() - 1)
	r.feed()
	if !r.session.Partial() || r.session.Idle() {
		t.Error("half a head is not told from none")
	}
	r.Buffer.WriteByte(whole[len(whole)-1])
	r.feed()
	if r.session.Partial() {
		t.Error("a whole head is told from none")
	}
	r.expect("told", &r.log, "head 1 GET h/ end")
}

// TestGoaway: H3. The client's last stream id is about streams of ours: what it began itself is answered.
func TestGoaway(t *testing.T) {
	r := newRig(t).greet()
	r.request(1, true, get()...)
	r.WriteGoAway(0, h2.ErrCodeNo, nil)
	if err := r.feed(); err != nil {
		t.Fatal(err)
	}
	if r.session.Finished() {
		t.Fatal("H3: ends with a stream open")
	}
	r.session.Turn(r.out, r.now)
	respond(r.streams[0], "x")
	r.read()
	r.release()
	if !r.session.Finished() {
		t.Fatal("H3: goes on for ever")
	}
	r.session.End()
	r.read()
	r.expect("H3", &r.sent, "HEADERS 1 :status=200 content-length=1", `DATA 1 1 "x" end`, "GOAWAY 1 NO_ERROR")
}

// TestDrain is our graceful shutdown: by the PING's answer, and by time.
func TestDrain(t *testing.T) {
	for _, acked := range []bool{true, false} {
		t.Run(fmt.Sprint("acknowledged ", acked), func(t *testing.T) {
			r := newRig(t).greet()
			r.request(1, true, get()...)
			r.feed()
			r.session.Drain()
			r.session.Drain()
			r.read()
			r.expect("first", &r.sent, "GOAWAY 2147483647 NO_ERROR", "PING")
			r.request(3, true, get()...) // the client has not read it yet
			if acked {
				r.WritePing(true, drainPing)
			}
			r.feed()
			if !acked {
				r.expect("wait", &r.sent)
				r.now = r.session.Deadline()
				r.session.Turn(r.out, r.now)
				r.session.Expire()
				r.read()
			}
			r.expect("second", &r.sent, "GOAWAY 3 NO_ERROR")
			r.request(5, true, get("late", "x")...)
			r.feed()
			r.expect("told", &r.log, "head 1 GET h/ end", "head 3 GET h/ end")
			if r.session.Finished() || r.session.Deadline() != 0 {
				t.Error("ends before its streams")
			}
			r.session.Turn(r.out, r.now)
			for _, s := range r.streams {
				respond(s, "")
			}
			r.read()
			r.release()
			if !r.session.Finished() {
				t.Error("goes on for ever")
			}
		})
	}
}
