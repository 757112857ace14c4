package server

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"edge/mpm"
	"edge/runtime/upstream"
)

// TestSharedALPN: a server with TLS is asked for HTTP/2, and gets HTTP/1.1 where it does not choose it, or where the connection is to be
// the request's own.
func TestSharedALPN(t *testing.T) {
	for _, c := range []struct {
		name    string
		http2   bool // the server speaks it
		asks    bool // edge asks for it
		upgrade string
		want    string
	}{
		{"both", true, true, "", "HTTP/2.0 body"},
		{"an upgrade", true, true, "websocket", "HTTP/1.1 "},
		{"not the server", false, true, "", "HTTP/1.1 body"},
		{"not edge", true, false, "", "HTTP/1.1 body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				io.WriteString(w, r.Proto+" "+string(body))
			}))
			srv.EnableHTTP2 = c.http2
			srv.StartTLS()
			t.Cleanup(srv.Close)
			roots := x509.NewCertPool()
			roots.AddCert(srv.Certificate())
			us := NewUnits()
			b := grow(t, plot{servers: []string{srv.Listener.Addr().String()}, engine: func(eo *mpm.Options) { eo.Units = us },
				pool: func(po *upstream.Options) {
					po.HTTP2 = c.asks
					po.Servers[0].TLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
				}})
			us.Attach(b.engine, b.server)
			client := client1(t)
			t.Cleanup(client.CloseIdleConnections)
			for range 3 {
				req, _ := http.NewRequest("POST", "http://"+b.addr+"/", strings.NewReader("body"))
				if c.upgrade != "" {
					req, _ = http.NewRequest("GET", "http://"+b.addr+"/", nil)
					req.Header.Set("Connection", "upgrade")
					req.Header.Set("Upgrade", c.upgrade)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(got) != c.want {
					t.Errorf("%d %q, not %q", resp.StatusCode, got, c.want)
				}
			}
		})
	}
}
