package http2

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// rig is a session with a client that writes frames with x/net's Framer and reads the answers with it, and a receiver that notes what
// it is told.
type rig struct {
	t       testing.TB
	session Session
	limits  Limits
	counts  Counts
	out     *Output
	now     int64

	bytes.Buffer // what the client has written and the session has not consumed
	*h2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder

	log     []string // what the receiver was told
	sent    []string // what the session has written
	streams []*Stream
	closed  bool // the receiver does not accept bodies
	answer  func(s *Stream)
	ended   func(s *Stream) // at the end of a body
	data    func(d *h2.DataFrame)
}

func newRig(t testing.TB, change ...func(*Limits)) *rig {
	r := &rig{t: t, limits: DefaultLimits, out: NewOutput(), now: 1e9}
	for _, f := range change {
		f(&r.limits)
	}
	r.Framer = h2.NewFramer(&r.Buffer, nil)
	r.Framer.AllowIllegalWrites = true
	r.encoder = hpack.NewEncoder(&r.block)
	r.decoder = hpack.NewDecoder(4096, nil)
	r.session.Begin(&r.limits, &r.counts, r)
	return r
}

// greet is the client's preface, and the session's.
func (r *rig) greet(settings ...h2.Setting) *rig {
	r.WriteString(Preface)
	r.WriteSettings(settings...)
	r.WriteSettingsAck()
	r.feed()
	r.log, r.sent = nil, nil
	return r
}

// feed has the session read what there is.
func (r *rig) feed() *Error { return r.feedIn(1 << 20) }

// feedIn does so in pieces of n bytes.
func (r *rig) feedIn(n int) (err *Error) {
	r.session.Turn(r.out, r.now)
	in := bytes.Clone(r.Bytes())
	r.Buffer.Reset()
	kept := []byte(nil)
	for len(in) > 0 && err == nil {
		m := min(n, len(in))
		kept = append(kept, in[:m]...)
		in = in[m:]
		for again := true; again && err == nil; again = r.session.More() {
			var used int
			used, err = r.session.Feed(kept)
			kept = bytes.Clone(kept[used:])
		}
	}
	if err == nil {
		r.Buffer.Write(kept)
	}
	r.session.Fill(1 << 20)
	r.read()
	return err
}

// read notes what the session has written.
func (r *rig) read() {
	r.t.Helper()
	f := h2.NewFramer(nil, bytes.NewReader(r.out.Dst))
	for {
		frame, err := f.ReadFrame()
		if err == io.EOF {
			break
		}
		if err != nil {
			r.t.Fatalf("the session wrote what is no frame: %v", err)
		}
		r.sent = append(r.sent, r.describe(frame))
	}
	r.out.Begin(r.out.Dst[:0])
}

func (r *rig) describe(f h2.Frame) string {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *h2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		return "SETTINGS"
	case *h2.HeadersFrame:
		text := fmt.Sprintf("HEADERS %d %s", id, r.fields(f.HeaderBlockFragment()))
		if f.StreamEnded() {
			text += " end"
		}
		return text
	case *h2.DataFrame:
		if r.data != nil {
			r.data(f)
		}
		text := fmt.Sprintf("DATA %d %d", id, len(f.Data()))
		if len(f.Data()) > 0 && len(f.Data()) < 20 {
			text += fmt.Sprintf(" %q", f.Data())
		}
		if f.StreamEnded() {
			text += " end"
		}
		return text
	case *h2.RSTStreamFrame:
		return fmt.Sprintf("RST %d %v", id, f.ErrCode)
	case *h2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	case *h2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", id, f.Increment)
	case *h2.PingFrame:
		if f.IsAck() {
			return "PING ack"
		}
		return "PING"
	}
	return f.Header().String()
}

func (r *rig) fields(block []byte) string {
	fields, err := r.decoder.DecodeFull(block)
	if err != nil {
		r.t.Fatalf("the session wrote what is no header block: %v", err)
	}
	var text []string
	for _, f := range fields {
		text = append(text, f.Name+"="+f.Value)
	}
	return strings.Join(text, " ")
}

// encode makes a header block of pairs.
func (r *rig) encode(pairs ...string) []byte {
	r.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		r.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(r.block.Bytes())
}

// get are the pseudo-headers of a plain request.
func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/"}, more...)
}

func post(more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/"}, more...)
}

// request writes HEADERS.
func (r *rig) request(id uint32, end bool, pairs ...string) {
	r.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: r.encode(pairs...), EndStream: end, EndHeaders: true})
}

// release gives all streams back whose answers are out.
func (r *rig) release() {
	r.session.Turn(r.out, r.now)
	kept := r.streams[:0]
	for _, s := range r.streams {
		if s.Flushed() || s.Gone() {
			r.session.Release(s)
		} else {
			kept = append(kept, s)
		}
	}
	r.streams = kept
	r.read()
}

// respond answers with a body.
func respond(s *Stream, body string) {
	resp := &message.Response{Status: 200, Length: int64(len(body))}
	s.WriteHead(resp, "", body == "")
	if body != "" {
		s.Write([]byte(body), true)
	}
}

// The rig as Receiver.

func (r *rig) NextStream() *Stream { return &Stream{Request: new(message.Request)} }

func (r *rig) Head(s *Stream, end bool) {
	q := s.Request
	text := fmt.Sprintf("head %d %s %s%s", s.ID(), q.Method, q.Authority, q.Target)
	for i := range q.Header.Len() {
		name, value := q.Header.At(i)
		text += " " + name + "=" + value
	}
	if q.Length != 0 {
		text += fmt.Sprintf(" length=%d", q.Length)
	}
	if q.Expect {
		text += " expect"
	}
	if q.Upgrade != "" {
		text += " upgrade=" + q.Upgrade
	}
	if end {
		text += " end"
	}
	r.log = append(r.log, text)
	r.streams = append(r.streams, s)
	if r.answer != nil {
		r.answer(s)
	}
}

func (r *rig) Accepts(*Stream) bool { return !r.closed }

func (r *rig) Data(s *Stream, p []byte, end bool) {
	text := fmt.Sprintf("data %d ", s.ID())
	if n := len(r.log); n > 0 && strings.HasPrefix(r.log[n-1], text) {
		r.log[n-1] += string(p) // pieces are told one by one, and mean nothing
	} else {
		r.log = append(r.log, text+string(p))
	}
	if end {
		r.log[len(r.log)-1] += " end"
		if r.ended != nil {
			r.ended(s)
		}
	}
}

func (r *rig) Trailers(s *Stream) {
	text := fmt.Sprintf("trailers %d", s.ID())
	for i := range s.Request.Trailer.Len() {
		name, value := s.Request.Trailer.At(i)
		text += " " + name + "=" + value
	}
	r.log = append(r.log, text)
}

func (r *rig) Reset(s *Stream, why *Error) {
	r.log = append(r.log, fmt.Sprintf("reset %d %s", s.ID(), why.Reason))
}

func (r *rig) Reject(s *Stream, why *Error) {
	r.log = append(r.log, fmt.Sprintf("reject %d %d %s", s.ID(), why.Status, why.Reason))
}

func (r *rig) Refused(why *Error) { r.log = append(r.log, "refused "+why.Reason) }

// expect compares what happened with lines, and forgets it.
func (r *rig) expect(what string, got *[]string, want ...string) {
	r.t.Helper()
	if fmt.Sprint(*got) != fmt.Sprint(want) {
		r.t.Errorf("%s:\n got %q\nwant %q", what, *got, want)
	}
	*got = nil
}
