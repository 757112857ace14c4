package grpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edge/conformance/pki"
	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// patience bounds what must happen.
const patience = 20 * time.Second

// service is the server behind edge. It says back what it is told.
type service struct {
	pb.UnimplementedTestServiceServer
	began chan string // names of calls that wait
	ended chan error  // why they stopped waiting
}

func (s *service) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	in, _ := metadata.FromIncomingContext(ctx)
	grpc.SetHeader(ctx, metadata.MD{"x-initial": in.Get("x-say"), "x-bin-bin": in.Get("x-say-bin")})
	grpc.SetTrailer(ctx, metadata.MD{"x-trailing": in.Get("x-say"), "x-deadline": {fmt.Sprint(hasDeadline(ctx))}})
	return &pb.Empty{}, nil
}

func hasDeadline(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}

func (s *service) UnaryCall(ctx context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if e := r.ResponseStatus; e != nil {
		return nil, status.Error(codes.Code(e.Code), e.Message)
	}
	if r.FillUsername {
		return nil, s.wait(ctx, "unary")
	}
	return &pb.SimpleResponse{Payload: r.Payload}, nil
}

// wait waits until the client gives the call up.
func (s *service) wait(ctx context.Context, name string) error {
	s.began <- name
	<-ctx.Done()
	s.ended <- ctx.Err()
	return ctx.Err()
}

func (s *service) StreamingOutputCall(r *pb.StreamingOutputCallRequest, to pb.TestService_StreamingOutputCallServer) error {
	for _, p := range r.ResponseParameters {
		if err := to.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	if e := r.ResponseStatus; e != nil {
		return status.Error(codes.Code(e.Code), e.Message)
	}
	if r.Payload != nil {
		return s.wait(to.Context(), "output")
	}
	return nil
}

func (s *service) StreamingInputCall(from pb.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		r, err := from.Recv()
		if err == io.EOF {
			return from.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		if len(r.Payload.GetBody()) == 0 {
			return status.Error(codes.InvalidArgument, "an empty message")
		}
		sum += len(r.Payload.GetBody())
	}
}

func (s *service) FullDuplexCall(c pb.TestService_FullDuplexCallServer) error {
	for {
		r, err := c.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.Send(&pb.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}

// serve runs a server until the test ends.
func serve(t testing.TB, addr string, s *service, o ...grpc.ServerOption) (*grpc.Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	rig.Must(t, err)
	g := grpc.NewServer(o...)
	pb.RegisterTestServiceServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Serve(ln)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return g, ln.Addr().String()
}

func newService() *service {
	return &service{began: make(chan string, 100), ended: make(chan error, 100)}
}

// bed is a service behind edge, and a client before it.
type bed struct {
	*service
	server *grpc.Server
	origin string
	edge   *rig.Edge
	conn   *grpc.ClientConn
	client pb.TestServiceClient
}

// plot says what a bed is made of. The zero value speaks HTTP/2 in the clear on both sides.
type plot struct {
	tls      bool
	upstream string // more lines
	server   string // more lines of [server]
	rest     string // more of the configuration
	serves   []grpc.ServerOption
}

func grow(t testing.TB, p plot) *bed {
	t.Helper()
	b := &bed{service: newService()}
	listen, rest, scheme := "protocols = [\"http/1.1\", \"h2c\"]\n", "", "h2c"
	client := grpc.WithTransportCredentials(insecure.NewCredentials())
	if p.tls {
		dir, authority := t.TempDir(), pki.New(t, "grpc")
		leaf := authority.Leaf("edge.test", "127.0.0.1")
		cert, key := leaf.Write(t, dir, "edge")
		pki.Put(t, dir+"/ca.pem", authority.PEM())
		listen, scheme = "certificates = [\"c\"]\n", "https"
		rest = fmt.Sprintf("[certificates.c]\ncertificate = %q\nkey = %q\n", cert, key)
		p.upstream += fmt.Sprintf("tls = { ca = %q }\n", dir+"/ca.pem")
		p.serves = append(p.serves, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{leaf.TLS}})))
		client = grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: authority.Pool(), ServerName: "edge.test"}))
	}
	b.server, b.origin = serve(t, "127.0.0.1:0", b.service, p.serves...)
	if p.rest == "" {
		p.rest = "[[routes]]\nupstream = \"app\"\n"
	}
	b.edge = rig.Start(t, rig.Config{Listen: listen, Server: p.server,
		Rest: rest + fmt.Sprintf("[upstreams.app]\nservers = [\"%s://%s\"]\n%s\n%s", scheme, b.origin, p.upstream, p.rest)})
	conn, err := grpc.NewClient("passthrough:///"+b.edge.Addr, client)
	rig.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	b.conn, b.client = conn, pb.NewTestServiceClient(conn)
	return b
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func payload(n int) *pb.Payload { return &pb.Payload{Body: make([]byte, n)} }

// wants fails the test unless the error has the code.
func wants(t testing.TB, err error, code codes.Code) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("%v, not %v", err, code)
	}
}
