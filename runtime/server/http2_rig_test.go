package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sniffed is the entry of a listener that speaks HTTP/2 in the clear beside HTTP/1.
var sniffed = &Entry{HTTP2: true}

// entry2 is sniffed, or where the tests are to talk over TLS one that agrees on HTTP/2.
func entry2(t testing.TB) *Entry {
	if *overTLS {
		return secureEntry(t, "h2", "http/1.1")
	}
	return sniffed
}

// connect2 connects, over TLS where the bed speaks it.
func connect2(_ context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
	c, err := net.Dial(network, addr)
	if err == nil && beds[addr] {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}
	return c, err
}

// client1 is net/http's HTTP/1.1 client, which speaks TLS where the bed does. Its connections end with the test.
func client1(t testing.TB) *http.Client {
	transport := &http.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil && beds[addr] {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		}
		return c, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// client2 is x/net's HTTP/2 client. It has one connection, which ends with the test.
func client2(t testing.TB) *http.Client {
	transport := &http2.Transport{AllowHTTP: true, DisableCompression: true, DialTLSContext: connect2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// framer is an HTTP/2 client that says what a test wants it to.
type framer struct {
	t testing.TB
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	kept    string // read and not wanted yet
	bodies  map[uint32]string
}

// dial2 connects, and exchanges prefaces.
func dial2(t testing.TB, addr string, settings ...http2.Setting) *framer {
	t.Helper()
	c, err := connect2(t.Context(), "tcp", addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	f := newFramer(t, c)
	c.Write([]byte(http2.ClientPreface))
	f.WriteSettings(settings...)
	f.WriteSettingsAck()
	f.want("SETTINGS")
	f.want("SETTINGS ack")
	return f
}

// newFramer is one on a connection that is there.
func newFramer(t testing.TB, c net.Conn) *framer {
	f := &framer{t: t, Conn: c, Framer: http2.NewFramer(c, c), bodies: map[uint32]string{}}
	f.AllowIllegalWrites = true
	f.encoder, f.decoder = hpack.NewEncoder(&f.block), hpack.NewDecoder(4096, nil)
	return f
}

// ask writes HEADERS.
func (f *framer) ask(id uint32, end bool, pairs ...string) {
	f.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		f.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(), EndStream: end, EndHeaders: true})
}

// get2 are the fields of a request.
func get2(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", path}, more...)
}

func post2(path string, more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", path}, more...)
}

// next is the next frame that is no WINDOW_UPDATE, in words: kind, stream, what is of interest, and "end".
func (f *framer) next() (string, error) {
	if kept := f.kept; kept != "" {
		f.kept = ""
		return kept, nil
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "", err
		}
		id := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				return "SETTINGS ack", nil
			}
			return "SETTINGS", nil
		case *http2.HeadersFrame:
			fields, err := f.decoder.DecodeFull(frame.HeaderBlockFragment())
			if err != nil {
				return "", err
			}
			text := fmt.Sprintf("HEADERS %d", id)
			for _, h := range fields {
				if h.Name != "date" && h.Name != "via" {
					text += " " + h.Name + "=" + h.Value
				}
			}
			return text + ended(frame.StreamEnded()), nil
		case *http2.DataFrame:
			f.bodies[id] += string(frame.Data())
			return fmt.Sprintf("DATA %d %d%s", id, len(frame.Data()), ended(frame.StreamEnded())), nil
		case *http2.RSTStreamFrame:
			return fmt.Sprintf("RST %d %v", id, frame.ErrCode), nil
		case *http2.GoAwayFrame:
			return fmt.Sprintf("GOAWAY %d %v", frame.LastStreamID, frame.ErrCode), nil
		case *http2.PingFrame:
			if !frame.IsAck() {
				f.WritePing(true, frame.Data)
				continue
			}
			return "PING ack", nil
		}
	}
}

func ended(end bool) string {
	if end {
		return " end"
	}
	return ""
}

// want reads a frame and compares; a "*" at the end stands for anything.
func (f *framer) want(text string) string {
	f.t.Helper()
	got, err := f.next()
	prefix, open := strings.CutSuffix(text, "*")
	if err != nil || got != text && !(open && strings.HasPrefix(got, prefix)) {
		f.t.Fatalf("got %q, %v, want %q", got, err, text)
	}
	return got
}

// skip reads frames as long as they begin so.
func (f *framer) skip(prefix string) {
	for {
		if got, err := f.next(); err != nil || !strings.HasPrefix(got, prefix) {
			f.kept = got
			return
		}
	}
}

// body reads frames until a stream ends, and returns what it has said. Other streams go on meanwhile.
func (f *framer) body(id uint32) string {
	f.t.Helper()
	for {
		got, err := f.next()
		if err != nil {
			f.t.Fatal(err)
		}
		var of uint32
		var kind string
		fmt.Sscan(got, &kind, &of)
		if of == id && strings.HasSuffix(got, " end") {
			return f.bodies[id]
		}
		if of == id && kind == "RST" {
			f.t.Fatal(got)
		}
	}
}

// over reads to the end of the connection, which must come.
func (f *framer) over() (frames []string) {
	f.t.Helper()
	for {
		got, err := f.next()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				f.t.Errorf("the connection does not end: %q", frames)
			}
			return frames
		}
		frames = append(frames, got)
	}
}
