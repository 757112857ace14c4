package grpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edge/conformance/rig"
)

// relayBed is edge with the guest relay and the server that it streams to.
type relayBed struct {
	*rig.Edge
	ended   chan error    // of calls to Wait and Deaf, as the server hears of their end
	release chan struct{} // calls to Late go on when it is closed
}

// streams is the server's side of pkg.Service, by method.
func (b *relayBed) streams(_ any, c grpc.ServerStream) error {
	c.SetHeader(metadata.Pairs("x-initial", "1"))
	c.SetTrailer(metadata.Pairs("x-trailing", "1"))
	method, _ := grpc.MethodFromServerStream(c)
	n := 0
	for {
		var m string
		switch method {
		case "/pkg.Service/Deaf": // never reads
			<-c.Context().Done()
			b.ended <- c.Context().Err()
			return nil
		case "/pkg.Service/Late": // reads late
			<-b.release
		}
		err := c.RecvMsg(&m)
		if err != nil && err != io.EOF {
			b.ended <- err
			return err
		}
		switch n++; {
		case method == "/pkg.Service/Echo" && err == nil:
			err = c.SendMsg(&m)
		case method == "/pkg.Service/Echo":
			return nil
		case err == io.EOF: // Sum, Late
			m = strings.Repeat("x", n-1)
			return c.SendMsg(&m)
		case method == "/pkg.Service/Many":
			for range 1000 {
				if err := c.SendMsg(&m); err != nil {
					return err
				}
			}
			return nil
		case method == "/pkg.Service/Stop" && n == 3:
			return status.Error(codes.FailedPrecondition, "enough")
		case method == "/pkg.Service/Stop":
			err = c.SendMsg(&m)
		case method == "/pkg.Service/Wait":
			c.SendMsg(&m)
			<-c.Context().Done()
			b.ended <- c.Context().Err()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func newRelay(t *testing.T, filter string) *relayBed {
	b := &relayBed{ended: make(chan error, 100), release: make(chan struct{})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	g := grpc.NewServer(grpc.ForceServerCodec(text{}), grpc.UnknownServiceHandler(b.streams))
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	b.Edge = startRelay(t, ln.Addr().String(), filter)
	return b
}

func startRelay(t *testing.T, addr, filter string) *rig.Edge {
	module, err := filepath.Abs("../wasm/guests/relay.wasm")
	rig.Must(t, err)
	return rig.Start(t, rig.Config{Rest: fmt.Sprintf(`
[upstreams.svc]
servers = ["h2c://%s"]
[filters.relay]
module = %q
allow = { upstreams = ["svc"] }
limits = { pause = "%v", memory = "16MiB", cpu = "5s" }
%s
[[routes]]
filters = ["relay"]
respond = { status = 204 }
`, addr, module, patience, filter)})
}

// relay has the guest make a stream and returns what it says of it: gRPC's status, messages received, their bytes, sends that were
// refused, callbacks for initial and for trailing metadata, and messages it did not send.
func relay(t testing.TB, e *rig.Edge, method string, n, size, ahead int, more string) string {
	c := rig.Dial(t, e.Addr)
	r := c.Get("/", fmt.Sprintf("X-Method: %s\r\nX-N: %d\r\nX-Size: %d\r\nX-Ahead: %d\r\n%s", method, n, size, ahead, more))
	return fmt.Sprintf("%d %s", r.Status, r.Body)
}

// idle waits until no stream is left between edge and its upstreams.
func idle(t testing.TB, e *rig.Edge) {
	t.Helper()
	e.WaitMetric("no stream to an upstream", func(m rig.Metrics) bool { return m.Sum("edge_upstream_h2_streams") == 0 })
}

// TestGuestStreams has a guest stream to a gRPC service, in all the ways there are.
func TestGuestStreams(t *testing.T) {
	for name, filter := range map[string]string{"shared": "lanes = 1", "isolated": `isolation = "stream"`} {
		t.Run(name, func(t *testing.T) {
			b := newRelay(t, filter)
			for _, c := range []struct {
				name, method   string
				n, size, ahead int
				more, want     string
			}{
				{"bidi", "Echo", 100, 1000, 1, "", "200 0 100 100000 0 1 1 0"},
				{"bidi, ten ahead", "Echo", 100, 0, 10, "", "200 0 100 0 0 1 1 0"},
				{"bidi, over many DATA frames", "Echo", 3, 1 << 20, 1, "", "200 0 3 3145728 0 1 1 0"},
				{"client stream", "Sum", 1000, 10, 1000, "", "200 0 1 1000 0 1 1 0"},
				{"client stream of nothing", "Sum", 0, 0, 1, "", "200 0 1 0 0 1 1 0"},
				{"server stream, many messages in a frame", "Many", 1, 5, 1, "", "200 0 1000 5000 0 1 1 0"},
				{"server stream of large ones", "Many", 1, 10000, 1, "", "200 0 1000 10000000 0 1 1 0"},
				{"the server ends it half-way", "Stop", 9, 4, 1, "", "200 9 2 8 0 1 1 6"},
				{"the guest cancels half-way", "Echo", 100, 4, 1, "X-Cancel: 5\r\n", "200 99 5 20 0 1 0 95"},
				{"client stream of one large message", "Sum", 1, 1 << 20, 1, "", "200 0 1 1 0 1 1 0"},
			} {
				t.Run(c.name, func(t *testing.T) {
					if got := relay(t, b.Edge, c.method, c.n, c.size, c.ahead, c.more); got != c.want {
						t.Errorf("%q, not %q", got, c.want)
					}
					idle(t, b.Edge)
				})
			}
		})
	}
}

// TestGuestStreamsEnd: a stream of a guest ends with the request that carries it, with its filter's fault, and with a cancel.
func TestGuestStreamsEnd(t *testing.T) {
	b := newRelay(t, "lanes = 1")
	hears := func(t *testing.T) {
		t.Helper()
		select {
		case err := <-b.ended:
			if c := status.Code(err); err != context.Canceled && c != codes.Canceled {
				t.Errorf("the server hears %v", err)
			}
		case <-within(t).Done():
			t.Error("the server's call has not ended")
		}
		idle(t, b.Edge)
	}
	t.Run("the client goes away", func(t *testing.T) {
		c := rig.Dial(t, b.Addr)
		c.Send("GET / HTTP/1.1\r\nHost: a\r\nX-Method: Wait\r\nX-N: 2\r\nX-Size: 1\r\nX-Ahead: 1\r\n\r\n")
		b.WaitMetric("a stream", func(m rig.Metrics) bool { return m.Sum("edge_upstream_h2_streams") == 1 })
		c.Abort()
		hears(t)
	})
	t.Run("cancelled by the guest", func(t *testing.T) {
		if got := relay(t, b.Edge, "Wait", 5, 1, 1, "X-Cancel: 1\r\n"); got != "200 99 1 1 0 1 0 3" && got != "200 99 1 1 0 1 0 4" {
			t.Errorf("%q", got)
		}
		hears(t)
	})
	t.Run("W101 a fault in a callback", func(t *testing.T) {
		if got := relay(t, b.Edge, "Wait", 5, 1, 1, "X-Trap: 1\r\n"); !strings.HasPrefix(got, "503 ") {
			t.Errorf("%q", got)
		}
		hears(t)
	})
}

// TestGuestStreamBackPressure: a server that does not read has the guest's sends refused at the bound, and costs no more memory than that;
// when it reads, all that was taken arrives.
func TestGuestStreamBackPressure(t *testing.T) {
	b := newRelay(t, "lanes = 1")
	const parallel, maxSends = 8, 1000
	var wait sync.WaitGroup
	got := make([]string, parallel)
	for k := range parallel {
		wait.Go(func() { got[k] = relay(t, b.Edge, "Late", maxSends, 10000, maxSends, "X-Full: 1\r\n") })
	}
	b.WaitMetric("refusals", func(m rig.Metrics) bool {
		return m.Sum("edge_filter_over_quota_total", `kind="grpc_message"`) >= parallel
	})
	if memory := b.Metrics().Sum("go_memstats_heap_inuse_bytes"); memory > 100<<20 {
		t.Errorf("%v bytes in use", memory)
	}
	close(b.release)
	wait.Wait()
	for _, s := range got {
		var code, status, messages, received, refused, left int
		fmt.Sscanf(s, "%d %d %d %d %d 1 1 %d", &code, &status, &messages, &received, &refused, &left)
		if code != 200 || status != 0 || messages != 1 || refused != 1 || received != maxSends-left || received*10000 > 2<<20 || received < 100 {
			t.Errorf("%q", s)
		}
	}
	idle(t, b.Edge)
}

// TestManyGuestStreams: a thousand calls leave no stream behind, however they end.
func TestManyGuestStreams(t *testing.T) {
	b := newRelay(t, "lanes = 2")
	var wait sync.WaitGroup
	for k := range 10 {
		wait.Go(func() {
			for i := range 100 {
				want, more := "200 0 3 30 0 1 1 0", ""
				if (i+k)%3 == 0 {
					want, more = "200 99 2 20 0 1 0 1", "X-Cancel: 2\r\n"
				}
				if got := relay(t, b.Edge, "Echo", 3, 10, 1, more); got != want {
					t.Errorf("%q, not %q", got, want)
					return
				}
			}
		})
	}
	wait.Wait()
	idle(t, b.Edge)
}

// resets answers calls of the methods R0, R1 … by a RST_STREAM with that code, and of L0, L1 … with a head before it.
func resets(t *testing.T) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			go resetAll(c)
		}
	}()
	return ln.Addr().String()
}

func resetAll(c net.Conn) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len(h2.ClientPreface))); err != nil {
		return
	}
	f := h2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *h2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *h2.MetaHeadersFrame:
			path := frame.PseudoValue("path")
			at := strings.LastIndexByte(path, '/') + 1
			if path[at] == 'L' {
				var block bytes.Buffer
				e := hpack.NewEncoder(&block)
				e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				e.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
				f.WriteHeaders(h2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: block.Bytes(), EndHeaders: true})
			}
			code, _ := strconv.Atoi(path[at+1:])
			f.WriteRSTStream(frame.StreamID, h2.ErrCode(code))
		}
	}
}

// resetCodes are gRPC's codes for those of RFC 9113 section 7 (PROTOCOL-HTTP2, "Errors").
var resetCodes = []struct {
	reset h2.ErrCode
	want  codes.Code
}{
	{h2.ErrCodeNo, codes.Internal},
	{h2.ErrCodeProtocol, codes.Internal},
	{h2.ErrCodeInternal, codes.Internal},
	{h2.ErrCodeFlowControl, codes.Internal},
	{h2.ErrCodeSettingsTimeout, codes.Internal},
	{h2.ErrCodeStreamClosed, codes.Unknown},
	{h2.ErrCodeFrameSize, codes.Internal},
	{h2.ErrCodeRefusedStream, codes.Unavailable},
	{h2.ErrCodeCancel, codes.Canceled},
	{h2.ErrCodeCompression, codes.Internal},
	{h2.ErrCodeConnect, codes.Internal},
	{h2.ErrCodeEnhanceYourCalm, codes.ResourceExhausted},
	{h2.ErrCodeInadequateSecurity, codes.PermissionDenied},
	{h2.ErrCodeHTTP11Required, codes.Unknown},
}

// TestResets: a server that resets is understood, by a guest and by a client.
func TestResets(t *testing.T) {
	addr := resets(t)
	e := startRelay(t, addr, "")
	through := rig.Start(t, rig.Config{Listen: "protocols = [\"h2c\"]\n",
		Rest: fmt.Sprintf("[upstreams.svc]\nservers = [\"h2c://%s\"]\n[[routes]]\nupstream = \"svc\"\n", addr)})
	conn, err := grpc.NewClient("passthrough:///"+through.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(text{})))
	rig.Must(t, err)
	defer conn.Close()
	for _, c := range resetCodes {
		for _, when := range []string{"R", "L"} {
			method := fmt.Sprint(when, uint32(c.reset))
			t.Run(fmt.Sprintf("%v %s", c.reset, when), func(t *testing.T) {
				if got, want := relay(t, e, method, 1, 5, 0, ""), fmt.Sprintf("200 %d 0 0 0 ", c.want); !strings.HasPrefix(got, want) {
					t.Errorf("guest: %q, not %q", got, want)
				}
				m, answer := "hello", ""
				wants(t, conn.Invoke(within(t), "/pkg.Service/"+method, &m, &answer), c.want)
			})
		}
	}
	idle(t, e)
}

// TestStreamTimeout: a call on which nobody says anything outlives timeout, and ends at stream_timeout, whoever is waited for.
func TestStreamTimeout(t *testing.T) {
	for _, c := range []struct {
		name, bound string
		ends        bool // the client has said its last
		cut         bool
	}{
		{"both silent", "stream_timeout = \"24h\"\n", false, false},
		{"the server silent", "stream_timeout = \"24h\"\n", true, false},
		{"both silent for too long", "stream_timeout = \"700ms\"\n", false, true},
		{"the server silent for too long", "stream_timeout = \"700ms\"\n", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			rig.Must(t, err)
			g := grpc.NewServer(grpc.ForceServerCodec(text{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
				s.SendHeader(nil)
				select {
				case <-release:
				case <-s.Context().Done():
				}
				return nil
			}))
			go g.Serve(ln)
			t.Cleanup(g.Stop)
			e := rig.Start(t, rig.Config{Listen: "protocols = [\"h2c\"]\n", Server: "timeout = \"100ms\"\n", Rest: fmt.Sprintf(
				"[upstreams.svc]\nservers = [\"h2c://%s\"]\n%s[[routes]]\nupstream = \"svc\"\n", ln.Addr(), c.bound)})
			conn, err := grpc.NewClient("passthrough:///"+e.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.ForceCodec(text{})))
			rig.Must(t, err)
			defer conn.Close()
			began := time.Now()
			s, err := conn.NewStream(within(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/pkg.Service/Silent")
			rig.Must(t, err)
			if c.ends {
				rig.Must(t, s.CloseSend())
			}
			if !c.cut {
				time.AfterFunc(time.Second, func() { close(release) })
			}
			m := ""
			err = s.RecvMsg(&m)
			if took := time.Since(began); !c.cut && err != io.EOF || c.cut && (err == io.EOF || took < 700*time.Millisecond) {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
}
