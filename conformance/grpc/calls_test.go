package grpc

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"edge/conformance/rig"
)

const smallMessages = 50000

// TestCalls makes calls of all four kinds, in the clear and over TLS.
func TestCalls(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			b := grow(t, plot{tls: secure})
			for name, f := range map[string]func(*testing.T, *bed){
				"metadata": metadataBothWays, "unary": unary, "server-streaming": serverStreaming, "client-streaming": clientStreaming,
				"bidi": bidi, "errors": errorsOfServer, "cancel": cancels, "deadline": deadlines,
			} {
				t.Run(name, func(t *testing.T) { f(t, b) })
			}
		})
	}
}

func metadataBothWays(t *testing.T, b *bed) {
	var head, tail metadata.MD
	ctx := metadata.AppendToOutgoingContext(within(t), "x-say", "one", "x-say", "two", "x-say-bin", "\x00\xff\x01")
	_, err := b.client.EmptyCall(ctx, &pb.Empty{}, grpc.Header(&head), grpc.Trailer(&tail))
	wants(t, err, codes.OK)
	if fmt.Sprint(head["x-initial"], tail["x-trailing"], tail["x-deadline"]) != "[one two] [one two] [true]" || head.Get("x-bin-bin")[0] != "\x00\xff\x01" {
		t.Errorf("%v %v", head, tail)
	}
}

func unary(t *testing.T, b *bed) {
	for _, n := range []int{0, 1, 100, 16 << 10, 1 << 20, 3 << 20} {
		r, err := b.client.UnaryCall(within(t), &pb.SimpleRequest{Payload: payload(n)})
		if wants(t, err, codes.OK); len(r.GetPayload().GetBody()) != n {
			t.Errorf("%d bytes of %d", len(r.GetPayload().GetBody()), n)
		}
	}
}

func serverStreaming(t *testing.T, b *bed) {
	r := &pb.StreamingOutputCallRequest{}
	want := 0
	for i := range 200 {
		r.ResponseParameters = append(r.ResponseParameters, &pb.ResponseParameters{Size: int32(i * 500)})
		want += i * 500
	}
	stream, err := b.client.StreamingOutputCall(within(t), r)
	rig.Must(t, err)
	n := 0
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			break
		}
		rig.Must(t, err)
		n += len(m.Payload.Body)
	}
	if n != want {
		t.Errorf("%d bytes of %d", n, want)
	}
}

func clientStreaming(t *testing.T, b *bed) {
	stream, err := b.client.StreamingInputCall(within(t))
	rig.Must(t, err)
	want := 0
	for i := range 200 {
		rig.Must(t, stream.Send(&pb.StreamingInputCallRequest{Payload: payload(1 + i*500)}))
		want += 1 + i*500
	}
	r, err := stream.CloseAndRecv()
	if wants(t, err, codes.OK); int(r.GetAggregatedPayloadSize()) != want {
		t.Errorf("%d bytes of %d", r.GetAggregatedPayloadSize(), want)
	}
	// Messages of a byte, as fast as they go: nothing that a flood of tiny frames is taken for.
	stream, err = b.client.StreamingInputCall(within(t))
	rig.Must(t, err)
	for range smallMessages {
		rig.Must(t, stream.Send(&pb.StreamingInputCallRequest{Payload: payload(1)}))
	}
	r, err = stream.CloseAndRecv()
	if wants(t, err, codes.OK); r.GetAggregatedPayloadSize() != smallMessages {
		t.Errorf("%d messages of %d", r.GetAggregatedPayloadSize(), smallMessages)
	}
	// The server has its answer before the client has said all.
	stream, err = b.client.StreamingInputCall(within(t))
	rig.Must(t, err)
	rig.Must(t, stream.Send(&pb.StreamingInputCallRequest{}))
	wants(t, stream.RecvMsg(new(pb.StreamingInputCallResponse)), codes.InvalidArgument)
}

func bidi(t *testing.T, b *bed) {
	stream, err := b.client.FullDuplexCall(within(t))
	rig.Must(t, err)
	for i := range 100 {
		n := i * i * 7
		rig.Must(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(n)}))
		m, err := stream.Recv()
		rig.Must(t, err)
		if len(m.Payload.Body) != n {
			t.Fatalf("%d bytes of %d", len(m.Payload.Body), n)
		}
	}
	rig.Must(t, stream.CloseSend())
	if _, err := stream.Recv(); err != io.EOF {
		t.Error(err)
	}
}

func errorsOfServer(t *testing.T, b *bed) {
	e := &pb.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "with % and \t and ☺"}
	_, err := b.client.UnaryCall(within(t), &pb.SimpleRequest{ResponseStatus: e})
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != e.Message {
		t.Errorf("%v", err)
	}
	stream, err := b.client.StreamingOutputCall(within(t), &pb.StreamingOutputCallRequest{ResponseStatus: e,
		ResponseParameters: []*pb.ResponseParameters{{Size: 100}}})
	rig.Must(t, err)
	_, err = stream.Recv()
	rig.Must(t, err)
	_, err = stream.Recv()
	wants(t, err, codes.FailedPrecondition)
	_, err = b.client.UnimplementedCall(within(t), &pb.Empty{})
	wants(t, err, codes.Unimplemented)
}

func cancels(t *testing.T, b *bed) {
	ctx, cancel := context.WithCancel(within(t))
	failed := make(chan error, 2)
	go func() {
		_, err := b.client.UnaryCall(ctx, &pb.SimpleRequest{FillUsername: true})
		failed <- err
	}()
	go func() {
		stream, err := b.client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{Payload: payload(1),
			ResponseParameters: []*pb.ResponseParameters{{Size: 100}}})
		for err == nil {
			_, err = stream.Recv()
		}
		failed <- err
	}()
	for range 2 {
		<-b.began
	}
	cancel()
	for range 2 {
		wants(t, <-failed, codes.Canceled)
		select {
		case <-b.ended:
		case <-time.After(patience):
			t.Fatal("the server was not told")
		}
	}
}

func deadlines(t *testing.T, b *bed) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.client.UnaryCall(ctx, &pb.SimpleRequest{FillUsername: true})
	wants(t, err, codes.DeadlineExceeded)
	<-b.began
	select {
	case <-b.ended:
	case <-time.After(patience):
		t.Fatal("the server was not told")
	}
}

// TestDeadlineOfEdge: the deadline holds where the client does not see to it itself.
func TestDeadlineOfEdge(t *testing.T) {
	b := grow(t, plot{})
	_, err := call(within(t), b.edge.Addr, "/grpc.testing.TestService/UnaryCall", "50m", &pb.SimpleRequest{FillUsername: true})
	wants(t, err, codes.DeadlineExceeded)
}

// TestMany has many streams of many clients at once, over few connections to the server.
func TestMany(t *testing.T) {
	b := grow(t, plot{serves: []grpc.ServerOption{grpc.MaxConcurrentStreams(50)}})
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			for j := range 10 {
				r, err := b.client.UnaryCall(within(t), &pb.SimpleRequest{Payload: payload(i * j)})
				if status.Code(err) != codes.OK || len(r.GetPayload().GetBody()) != i*j {
					t.Errorf("%d %d: %v", i, j, err)
				}
			}
		})
	}
	all.Wait()
	m := b.edge.Metrics()
	if n := m.Sum("edge_upstream_h2_connections"); n < 1 || n > 16 {
		t.Errorf("%v connections", n)
	}
}

// TestErrorsOfEdge are told in gRPC's terms.
func TestErrorsOfEdge(t *testing.T) {
	b := grow(t, plot{rest: `
[[routes]]
match.path = "/grpc.testing.TestService/UnaryCall"
upstream = "app"
[upstreams.gone]
servers = ["h2c://127.0.0.1:1"]
[[routes]]
match.path = "/grpc.testing.TestService/EmptyCall"
upstream = "gone"
`})
	_, err := b.client.EmptyCall(within(t), &pb.Empty{})
	if wants(t, err, codes.Unavailable); status.Convert(err).Message() != "502 Bad Gateway" {
		t.Error(err)
	}
	_, err = b.client.UnimplementedCall(within(t), &pb.Empty{})
	wants(t, err, codes.Unimplemented)
}

// TestServerRestarts: a server that says GOAWAY, ends what it has, and comes back at the same address.
func TestServerRestarts(t *testing.T) {
	b := grow(t, plot{})
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := b.client.EmptyCall(within(t), &pb.Empty{}); status.Code(err) != codes.OK && status.Code(err) != codes.Unavailable {
					t.Error(err)
				}
			}
		})
	}
	stream, err := b.client.FullDuplexCall(within(t))
	rig.Must(t, err)
	say := func() {
		rig.Must(t, stream.Send(&pb.StreamingOutputCallRequest{Payload: payload(10)}))
		_, err := stream.Recv()
		rig.Must(t, err)
	}
	say()
	stopped := make(chan struct{})
	go func() {
		b.server.GracefulStop()
		close(stopped)
	}()
	if !rig.Eventually(patience, func() bool { // it takes no more connections
		c, err := net.Dial("tcp", b.origin)
		if err == nil {
			c.Close()
		}
		return err != nil
	}) {
		t.Fatal("the server does not stop")
	}
	say() // what had begun goes on
	rig.Must(t, stream.CloseSend())
	if _, err := stream.Recv(); err != io.EOF {
		t.Error(err)
	}
	<-stopped
	serve(t, b.origin, b.service)
	if !rig.Eventually(patience, func() bool {
		_, err := b.client.EmptyCall(within(t), &pb.Empty{})
		return err == nil
	}) {
		t.Error("the server that is back is not asked")
	}
	close(stop)
	all.Wait()
}
