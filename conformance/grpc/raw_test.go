package grpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"strconv"

	"crypto/tls"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// call makes a call without grpc-go, which would keep the deadline itself.
func call(ctx context.Context, addr, path, timeout string, m proto.Message) (http.Header, error) {
	raw, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(raw))), raw...)
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("Grpc-Timeout", timeout)
	transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	code, err := strconv.Atoi(resp.Header.Get("Grpc-Status"))
	if err != nil || resp.StatusCode != 200 {
		return resp.Header, status.Errorf(codes.Unknown, "%d %v", resp.StatusCode, resp.Header)
	}
	return resp.Header, status.Error(codes.Code(code), resp.Header.Get("Grpc-Message"))
}
