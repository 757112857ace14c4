package tls

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/conformance/pki"
	"edge/conformance/rig"
)

// TestUpstreamRenewal: whom an upstream's servers are trusted by, and what edge shows of itself to them, is taken anew when the files are
// replaced; a file that cannot be used is not.
func TestUpstreamRenewal(t *testing.T) {
	dir := t.TempDir()
	right, wrong, clients := pki.New(t, "right"), pki.New(t, "wrong"), pki.New(t, "clients")
	certificate, key := right.Leaf("origin.test").Write(t, dir, "origin")
	pair, err := tls.LoadX509KeyPair(certificate, key)
	rig.Must(t, err)
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].SerialNumber)
	}))
	origin.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()}
	origin.StartTLS()
	t.Cleanup(origin.Close)

	ca := filepath.Join(dir, "ca.pem")
	pki.Put(t, ca, wrong.PEM())
	shown, shownKey := clients.Leaf("edge.test").Write(t, dir, "client")
	e := rig.Start(t, rig.Config{Rest: fmt.Sprintf(`
[upstreams.app]
servers = ["https://%s"]
tls = { ca = %q, server_name = "origin.test", certificate = %q, key = %q }
[[routes]]
upstream = "app"
`, origin.Listener.Addr(), ca, shown, shownKey)})
	c := rig.Dial(t, e.Addr)
	get := func() (int, string) {
		r := c.Get("/", "")
		return r.Status, string(r.Body)
	}
	await := func(what string, done func(status int, body string) bool) {
		t.Helper()
		for end := time.Now().Add(limit); ; {
			status, body := get()
			if done(status, body) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d %s", what, status, body)
			}
		}
	}
	if status, _ := get(); status != http.StatusBadGateway {
		t.Fatalf("a server that nobody trusts is asked: %d", status)
	}
	pki.Put(t, ca, right.PEM())
	await("the authority is not taken", func(status int, _ string) bool { return status == http.StatusOK })
	_, before := get()

	pki.Put(t, ca, []byte("no certificate"))
	if !e.Log.WaitFor(func(text string) bool { return strings.Contains(text, "a changed file of an upstream is not used") }, limit) {
		t.Fatal("the log does not tell of the file that cannot be used")
	}
	if status, _ := get(); status != http.StatusOK {
		t.Fatalf("a file that cannot be used is: %d", status)
	}
	pki.Put(t, ca, right.PEM())
	next := clients.Leaf("edge.test")
	pki.Put(t, shown, next.Certificate)
	pki.Put(t, shownKey, next.Key)
	await("the client certificate is not taken", func(status int, body string) bool { return status == http.StatusOK && body != before })
}
