package server

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"context"
	"crypto/tls"
	"net"

	"edge/runtime/route"
)

// clear is the entry of a listener that speaks HTTP/2 in the clear beside HTTP/1.
var clear2 = &Entry{HTTP2: true}

// client2 is an HTTP/2 client in the clear.
func client2() *http.Client {
	return &http.Client{Transport: &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}}
}

func hello() []Route {
	return []Route{{Name: "hello", Action: Action{Respond: &route.Respond{Status: 200, Body: []byte("hello\n")}}}}
}

func TestHTTP2(t *testing.T) {
	b := grow(t, plot{routes: hello(), entry: clear2})
	for _, c := range []*http.Client{client2(), http.DefaultClient} {
		resp, err := c.Get("http://" + b.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.Proto, string(body), err, resp.Header)
		c.CloseIdleConnections()
	}
}

func TestCurl(t *testing.T) {
	b := grow(t, plot{routes: hello(), entry: clear2})
	out, err := exec.Command("curl", "-sv", "--http2-prior-knowledge", "http://"+b.addr+"/").CombinedOutput()
	fmt.Println(string(out), err)
	out, err = exec.Command("h2load", "-n", "100000", "-c", "10", "-m", "32", "http://"+b.addr+"/").CombinedOutput()
	fmt.Println(strings.TrimSpace(string(out)), err)
}
