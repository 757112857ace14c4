package lifecycle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// patience bounds what a healthy run never waits for.
const patience = 60 * time.Second

// bed is an edge with the guest version in front of an origin, which shows the version that the request came with.
type bed struct {
	*rig.Edge
	t      testing.TB
	module string        // the file that is watched
	gate   chan struct{} // one is taken by each answer of /gate
}

// plot is what a test wants other than the default.
type plot struct {
	filter string // more keys of the filter
	server string // keys of [server]
}

func newBed(t testing.TB, p plot) *bed {
	t.Helper()
	b := &bed{t: t, gate: make(chan struct{}, 100), module: filepath.Join(t.TempDir(), "version.wasm")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	rig.Must(t, err)
	origin := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gate" {
			select {
			case <-b.gate:
			case <-r.Context().Done():
			}
			return
		}
		w.Header().Set("X-Asked", r.Header.Get("X-Version"))
		fmt.Fprintln(w, "hello")
	})}
	go origin.Serve(l)
	t.Cleanup(func() { origin.Close() })
	b.put(0)
	b.Edge = rig.Start(t, rig.Config{Server: p.server, Log: "level = \"info\"\n", Rest: fmt.Sprintf(`
[upstreams.app]
servers = [%q]
[filters.version]
module = %q
allow = { upstreams = ["app"] }
%s
[[routes]]
filters = ["version"]
upstream = "app"
`, l.Addr().String(), b.module, p.filter)})
	b.want(0)
	return b
}

// versionModule is the guest with another version.
func versionModule(t testing.TB, n int) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join("testdata", "version.wasm"))
	rig.Must(t, err)
	made := bytes.Replace(wasm, []byte("version-00000"), []byte(versionText(n)), 1)
	if n != 0 && bytes.Equal(made, wasm) {
		t.Fatal("the guest has no version to replace")
	}
	return made
}

func versionText(n int) string { return fmt.Sprintf("version-%05d", n) }

// put puts a version in place, as compilers and package managers do: beside, and then over.
func (b *bed) put(n int) { b.putFile(versionModule(b.t, n)) }

func (b *bed) putFile(data []byte) {
	b.t.Helper()
	rig.Must(b.t, os.WriteFile(b.module+".new", data, 0o644))
	rig.Must(b.t, os.Rename(b.module+".new", b.module))
}

// get asks once and returns the two versions that the exchange has seen.
func (b *bed) get(c *http.Client, header ...string) (request, response string, err error) {
	r, err := http.NewRequest("GET", "http://"+b.Addr+"/x", nil)
	if err != nil {
		return "", "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	body := new(bytes.Buffer)
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return "", "", err
	}
	if answer.StatusCode != 200 || body.String() != "hello\n" {
		return "", "", fmt.Errorf("%s %q", answer.Status, body)
	}
	return answer.Header.Get("X-Asked"), answer.Header.Get("X-Version"), nil
}

// want asks once and holds the answer to be of one version.
func (b *bed) want(n int) {
	b.t.Helper()
	request, response, err := b.get(client)
	if err != nil || request != versionText(n) || response != versionText(n) {
		b.t.Errorf("request %q, response %q, error %v; want %s", request, response, err, versionText(n))
	}
}

var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}

// state is what the status page says of the filter.
type state struct {
	SHA256   string `json:"sha256"`
	Lanes    int    `json:"lanes"`
	LastSwap *struct {
		Result, SHA256, Error string
	} `json:"last_swap"`
}

func (b *bed) state() state {
	b.t.Helper()
	answer, err := b.AdminClient().Get("http://localhost/status.json")
	rig.Must(b.t, err)
	defer answer.Body.Close()
	var page struct{ Filters []state }
	rig.Must(b.t, json.NewDecoder(answer.Body).Decode(&page))
	if len(page.Filters) == 0 {
		b.t.Fatal("the status page has no filter")
	}
	return page.Filters[0]
}

// lanes is how many instances one version of the guest has.
func (b *bed) lanes() float64 { return float64(b.state().Lanes) }

// within waits for a condition.
func within(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// swaps is how many swaps have ended one way.
func (b *bed) swaps(result string) int {
	return int(b.Metrics().Sum("edge_filter_swaps_total", `filter="version"`, `result="`+result+`"`))
}

// logged waits for a line of the log that has all of these in it.
func (b *bed) logged(t testing.TB, parts ...string) {
	t.Helper()
	logged(t, b.Edge, parts...)
}

func logged(t testing.TB, e *rig.Edge, parts ...string) {
	t.Helper()
	within(t, fmt.Sprintf("a log line with %q", parts), func() bool {
	lines:
		for line := range strings.Lines(e.Log.String()) {
			for _, p := range parts {
				if !strings.Contains(line, p) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}
