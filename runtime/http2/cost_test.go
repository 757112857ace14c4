package http2

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"unsafe"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// plainServer answers every request at once, and keeps its streams, as a server with a free list does.
type plainServer struct {
	session Session
	out     *Output
	next    *Stream
	open    []*Stream
	free    []*Stream
	resp    message.Response
	body    []byte
	heads   int
}

func newPlainServer() *plainServer {
	s := &plainServer{out: NewOutput(), body: []byte("hello, world\n")}
	s.next = &Stream{Request: new(message.Request)}
	s.resp.Status, s.resp.Length = 200, int64(len(s.body))
	s.resp.Header.Add("content-type", "text/plain")
	limits := DefaultLimits
	s.session.Begin(&limits, new(Counts), s)
	return s
}

func (s *plainServer) NextStream() *Stream { return s.next }
func (s *plainServer) Head(st *Stream, end bool) {
	s.heads++
	s.open = append(s.open, st)
	if n := len(s.free); n > 0 {
		s.next, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.next = &Stream{Request: new(message.Request)}
	}
}
func (s *plainServer) Accepts(*Stream) bool       { return true }
func (s *plainServer) Data(*Stream, []byte, bool) {}
func (s *plainServer) Trailers(*Stream)           {}
func (s *plainServer) Reset(*Stream, *Error)      {}
func (s *plainServer) Reject(*Stream, *Error)     {}
func (s *plainServer) Refused(*Error)             {}
func (s *plainServer) turn(t testing.TB, p []byte) {
	s.out.Begin(s.out.Dst[:0])
	s.session.Turn(s.out, 1)
	if n, err := s.session.Feed(p); err != nil || n != len(p) {
		t.Fatalf("took %d of %d bytes, %v", n, len(p), err)
	}
	for _, st := range s.open {
		st.WriteHead(&s.resp, "Mon, 02 Jan 2006 15:04:05 GMT", false)
		st.Write(s.body, true)
		s.session.Release(st)
		s.free = append(s.free, st)
	}
	s.open = s.open[:0]
}

// hello is a client's preface.
func hello() []byte {
	var b bytes.Buffer
	b.WriteString(Preface)
	f := h2.NewFramer(&b, nil)
	f.WriteSettings()
	f.WriteSettingsAck()
	f.WriteWindowUpdate(0, 1<<30)
	return b.Bytes()
}

// batch writes n requests from an id on, and opens the connection's window as much as they will use.
func batch(b *bytes.Buffer, f *h2.Framer, block []byte, id *uint32, n int) {
	b.Reset()
	for range n {
		f.WriteHeaders(h2.HeadersFrameParam{StreamID: *id, BlockFragment: block, EndStream: true, EndHeaders: true})
		*id += 2
	}
	f.WriteWindowUpdate(0, uint32(13*n))
}

// requestBlocks are a first header block, and the one of the same request from then on.
func requestBlocks() (first, next []byte) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := range 2 {
		b.Reset()
		for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "example.com"}, {Name: ":path", Value: "/index.html"}, {Name: "user-agent", Value: "h2load"},
			{Name: "accept", Value: "*/*"}, {Name: "cookie", Value: "a=b"}} {
			e.WriteField(f)
		}
		if i == 0 {
			first = bytes.Clone(b.Bytes())
		}
	}
	return first, b.Bytes()
}

func TestNoAllocation(t *testing.T) {
	s := newPlainServer()
	s.turn(t, hello())
	first, next := requestBlocks()
	var b bytes.Buffer
	f := h2.NewFramer(&b, nil)
	id := uint32(1)
	batch(&b, f, first, &id, 1)
	s.turn(t, b.Bytes())
	got := testing.AllocsPerRun(1000, func() {
		batch(&b, f, next, &id, 8)
		s.turn(t, b.Bytes())
	})
	if got != 0 {
		t.Errorf("eight requests allocate %v times", got)
	}
	if s.heads < 8000 {
		t.Errorf("only %d requests came", s.heads)
	}
}

// TestIdleMemory: H6. What a session keeps while nothing is under way, after requests like a browser's or a load generator's.
func TestIdleMemory(t *testing.T) {
	const sessions, most = 200, 3 << 10
	first, next := requestBlocks()
	list := make([]*plainServer, sessions)
	shared := newPlainServer()
	for i := range list {
		list[i] = &plainServer{out: shared.out, body: shared.body}
		list[i].resp.Status = 204
	}
	limits, counts := DefaultLimits, new(Counts)
	greeting := hello()
	var b bytes.Buffer
	f := h2.NewFramer(&b, nil)
	shared.turn(t, hello())
	before := heapInUse()
	held := make([]*Session, sessions)
	for i, s := range list {
		s.session.Begin(&limits, counts, s)
		s.next, s.free, s.open = shared.next, shared.free, shared.open
		s.turn(t, greeting)
		id := uint32(1)
		batch(&b, f, first, &id, 1)
		s.turn(t, b.Bytes())
		batch(&b, f, next, &id, 8)
		s.turn(t, b.Bytes())
		shared.next, shared.free, shared.open = s.next, s.free, s.open
		s.next, s.free, s.open = nil, nil, nil
		held[i] = &s.session
		if !s.session.Idle() {
			t.Fatal("not idle")
		}
	}
	each := int64(heapInUse()-before)/sessions + int64(sizeofSession)
	if each > most {
		t.Errorf("an idle session costs %d bytes, want at most %d", each, most)
	}
	t.Logf("an idle session costs %d bytes, %d of them itself", each, sizeofSession)
	runtime.KeepAlive(held)
	runtime.KeepAlive(list)
}

// TestCutFieldsAreNotKept: a large field that is cut in two by frames costs an idle session nothing.
func TestCutFieldsAreNotKept(t *testing.T) {
	const sessions, most = 100, 4 << 10
	var b bytes.Buffer
	f := h2.NewFramer(&b, nil)
	block := []byte{0x82, 0x86, 0x84, 0x01, 0x01, 'h', 0x00, 0x01, 'x', 0x7f, 0xa1, 0x9b, 0x01} // x: 20,000 bytes
	block = append(block, bytes.Repeat([]byte{'y'}, 20000)...)
	f.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:10000], EndStream: true})
	f.WriteContinuation(1, true, block[10000:])
	list := make([]*plainServer, sessions)
	before := uint64(0)
	for i := range list {
		if i == 1 {
			before = heapInUse() // what a worker keeps is there by now
		}
		list[i] = newPlainServer()
		list[i].out = list[0].out
		list[i].turn(t, hello())
		list[i].turn(t, b.Bytes())
		if list[i].heads != 1 {
			t.Fatal("the request did not come")
		}
		list[i].free, list[i].open, list[i].next = nil, nil, nil
	}
	if each := int64(heapInUse()-before) / (sessions - 1); each > most {
		t.Errorf("an idle session keeps %d bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(list)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkSession(b *testing.B) {
	s := newPlainServer()
	s.turn(b, hello())
	first, next := requestBlocks()
	var in bytes.Buffer
	f := h2.NewFramer(&in, nil)
	id := uint32(1)
	batch(&in, f, first, &id, 1)
	s.turn(b, in.Bytes())
	const streams = 32
	b.ReportAllocs()
	for b.Loop() {
		if id > 1<<30 {
			b.Skip("out of stream ids")
		}
		batch(&in, f, next, &id, streams)
		s.turn(b, in.Bytes())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/streams, "ns/request")
}

// BenchmarkNetHTTP is the same work by the standard library's server, over a pipe.
func BenchmarkNetHTTP(b *testing.B) {
	client, server := net.Pipe()
	body := []byte("hello, world\n")
	go new(h2.Server).ServeConn(server, &h2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/plain")
		w.Write(body)
	})})
	defer client.Close()
	ended := make(chan struct{}, 1024)
	go func() {
		f := h2.NewFramer(io.Discard, client)
		f.SetReuseFrames()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if d, isData := frame.(*h2.DataFrame); isData && d.StreamEnded() {
				ended <- struct{}{}
			}
		}
	}()
	client.Write(hello())
	first, next := requestBlocks()
	var in bytes.Buffer
	f := h2.NewFramer(&in, nil)
	id := uint32(1)
	batch(&in, f, first, &id, 1)
	client.Write(in.Bytes())
	<-ended
	const streams = 32
	b.ReportAllocs()
	for b.Loop() {
		batch(&in, f, next, &id, streams)
		client.Write(in.Bytes())
		for range streams {
			<-ended
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/streams, "ns/request")
}

const sizeofSession = unsafe.Sizeof(Session{})
