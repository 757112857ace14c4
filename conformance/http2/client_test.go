package http2

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

const (
	listen     = `protocols = ["http/1.1", "h2c"]`
	secure     = `certificates = ["main"]`
	selfSigned = "[certificates.main]\ncertificate = \"self-signed\"\n"
	helloRoute = `
[[routes]]
match = { path = "/hello" }
respond = { status = 200, body = "hello world\n" }
`
	hello   = "hello world\n"
	ioLimit = 20 * time.Second
)

// client is one end of an HTTP/2 connection. What is written is gathered until flush.
type client struct {
	net.Conn
	out     bytes.Buffer
	framer  *h2.Framer // writes to out, reads from Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// dialer is dial or dialTLS.
type dialer func(addr string, settings ...h2.Setting) (*client, error)

// dial connects and gathers the preface.
func dial(addr string, settings ...h2.Setting) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, ioLimit)
	if err != nil {
		return nil, err
	}
	return newClient(conn, settings...), nil
}

// dialTLS is dial over TLS.
func dialTLS(addr string, settings ...h2.Setting) (*client, error) {
	raw, err := net.DialTimeout("tcp", addr, ioLimit)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(ioLimit))
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ServerName: "localhost"})
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	if p := conn.ConnectionState().NegotiatedProtocol; p != "h2" {
		conn.Close()
		return nil, fmt.Errorf("ALPN agreed on %q", p)
	}
	return newClient(conn, settings...), nil
}

// newClient speaks HTTP/2 over conn, and gathers the preface.
func newClient(conn net.Conn, settings ...h2.Setting) *client {
	conn.SetDeadline(time.Now().Add(ioLimit))
	c := &client{Conn: conn}
	c.framer = h2.NewFramer(&c.out, conn)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.out.WriteString(h2.ClientPreface)
	c.framer.WriteSettings(settings...)
	c.framer.WriteSettingsAck()
	return c
}

// ask gathers a request.
func (c *client) ask(id uint32, end bool, method, path string, more ...string) {
	pairs := append([]string{":method", method, ":scheme", "http", ":authority", "a", ":path", path}, more...)
	c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields(pairs...), EndStream: end, EndHeaders: true})
}

func (c *client) fields(pairs ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		c.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return c.block.Bytes()
}

func (c *client) flush() error {
	_, err := c.Write(c.out.Bytes())
	c.out.Reset()
	return err
}

// outcome is what a connection brought.
type outcome struct {
	heads  map[uint32][]hpack.HeaderField // of answers, interim ones and trailers among them
	bodies map[uint32]string
	ended  map[uint32]bool
	resets map[uint32]h2.ErrCode
	goaway *h2.GoAwayFrame
}

// status is that of a stream's answer, or "".
func (o *outcome) status(id uint32) (last string) {
	for _, f := range o.heads[id] {
		if f.Name == ":status" {
			last = f.Value
		}
	}
	return last
}

// field is the first value of a field of a stream's answer, or "".
func (o *outcome) field(id uint32, name string) string {
	for _, f := range o.heads[id] {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// over says whether nothing more is to come of a stream.
func (o *outcome) over(id uint32) bool {
	_, reset := o.resets[id]
	return reset || o.ended[id]
}

// read reads until enough says so, or the connection ends, which is no error.
func (c *client) read(enough func(o *outcome) bool) (*outcome, error) {
	o := &outcome{heads: map[uint32][]hpack.HeaderField{}, bodies: map[uint32]string{}, ended: map[uint32]bool{},
		resets: map[uint32]h2.ErrCode{}}
	for enough == nil || !enough(o) {
		frame, err := c.framer.ReadFrame()
		switch {
		case err == io.EOF:
			return o, nil
		case err != nil:
			return o, err
		}
		switch f := frame.(type) {
		case *h2.DataFrame:
			o.bodies[f.StreamID] += string(f.Data())
			o.ended[f.StreamID] = o.ended[f.StreamID] || f.StreamEnded()
		case *h2.MetaHeadersFrame:
			o.heads[f.StreamID] = append(o.heads[f.StreamID], f.Fields...)
			o.ended[f.StreamID] = o.ended[f.StreamID] || f.StreamEnded()
		case *h2.RSTStreamFrame:
			o.resets[f.StreamID] = f.ErrCode
		case *h2.GoAwayFrame:
			o.goaway = &h2.GoAwayFrame{FrameHeader: f.FrameHeader, LastStreamID: f.LastStreamID, ErrCode: f.ErrCode}
		}
	}
	return o, nil
}

var errLost = errors.New("the answer is not whole")

// whole says whether a stream got the greeting.
func (o *outcome) whole(id uint32) error {
	if o.bodies[id] != hello || !o.ended[id] {
		return fmt.Errorf("stream %d: %w: %q, ended %v", id, errLost, o.bodies[id], o.ended[id])
	}
	return nil
}
