package http2

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzSession feeds bytes behind a good preface. Whatever they are: what is told and sent does not depend on how they are cut; and a
// session that has no fault to find is one that x/net's Framer finds none in, with as many requests.
func FuzzSession(f *testing.F) {
	seed := func(write func(r *rig)) {
		r := newRig(f)
		write(r)
		f.Add(bytes.Clone(r.Bytes()), uint16(7))
	}
	seed(func(r *rig) { r.request(1, true, get("cookie", "a", "cookie", "b")...) })
	seed(func(r *rig) {
		r.request(1, false, post("content-length", "5")...)
		r.WriteDataPadded(1, false, []byte("ab"), make([]byte, 3))
		r.WriteData(1, false, []byte("cde"))
		r.request(1, true, "x", "y")
	})
	seed(func(r *rig) {
		block := r.encode(get("x", "y")...)
		r.WriteHeaders(h2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:3], EndStream: true})
		r.WriteContinuation(3, true, block[3:])
		r.WriteRSTStream(3, 8)
		r.WritePriority(5, h2.PriorityParam{})
		r.WriteWindowUpdate(3, 10)
		r.WriteRawFrame(framePriorityUpdate, 0, 0, []byte{0, 0, 0, 5, 'u', '=', '1'})
		r.request(5, true, "A", "b")
		r.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1})
		r.WriteGoAway(0, 0, nil)
	})
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		whole, pieces := newRig(t).greet(), newRig(t).greet()
		for _, r := range []*rig{whole, pieces} {
			r.answer = func(s *Stream) {
				if s.Complete() {
					respond(s, "hello")
				}
			}
			r.Buffer.Write(in)
		}
		err := whole.feed()
		if again := pieces.feedIn(int(cut%300) + 1); again != err {
			t.Fatalf("whole: %v, in pieces: %v", err, again)
		}
		pieces.expect("told", &pieces.log, whole.log...)
		if err == nil {
			// GOAWAY ends what is sent at different places where bytes remain; without it both have said the same.
			pieces.expect("sent", &pieces.sent, whole.sent...)
			compare(t, in[:len(in)-whole.Buffer.Len()], whole)
		}
	})
}

// compare reads the same bytes with the Framer.
func compare(t *testing.T, in []byte, r *rig) {
	f := h2.NewFramer(nil, bytes.NewReader(in))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.MaxHeaderListSize = 1 << 20
	heads := map[uint32]bool{}
	for {
		frame, err := f.ReadFrame()
		var stream h2.StreamError
		switch {
		case err == nil:
		case errors.As(err, &stream):
			continue
		default:
			if c := h2.ConnectionError(0); errors.As(err, &c) {
				t.Fatalf("x/net says %v (%v), the session nothing", err, f.ErrorDetail())
			}
			told := map[string]bool{}
			for _, line := range r.log {
				if strings.HasPrefix(line, "head ") {
					told[line] = true
				}
			}
			if len(told) > len(heads) {
				t.Fatalf("x/net has %d requests, the session %d", len(heads), len(told))
			}
			return
		}
		if m, isHead := frame.(*h2.MetaHeadersFrame); isHead {
			heads[m.StreamID] = true
		}
	}
}
