package wasmhost

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/fake"
)

// TestCorpus runs the guests of others, every file of the directory that EDGE_WASM_CORPUS names: each must start with an
// empty configuration or refuse it, and take exchanges without a fault.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("EDGE_WASM_CORPUS")
	if dir == "" {
		t.Skip("EDGE_WASM_CORPUS names no directory of Proxy-Wasm guests")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			h := testHost(t, Options{Log: func(f string, l filters.Level, s string) { t.Logf("%d %s", l, s) }})
			f, err := h.NewFilter(Spec{Name: "guest", Wasm: guest(t, filepath.Join(dir, e.Name())), Lanes: 1})
			if err != nil {
				t.Errorf("refused: %v", err)
				return
			}
			for k := range 50 {
				x := fake.New()
				x.Props["plugin_root_id"] = filters.Value{}
				x.CallError = errors.New("no upstreams here")
				s := begin(t, f, x)
				exchangeWithBodies(s)
				if !s.Close() {
					t.Fatal("not closed")
				}
				if k == 0 {
					t.Logf("%d request and %d response fields, %d replies", x.Req.Header.Len(), x.Resp.Header.Len(), len(x.Replies))
					t.Logf("lines %q", x.Lines)
				}
			}
			if s := f.Stats(); s.Started != 1 {
				t.Errorf("stats %+v", s)
			} else {
				t.Logf("stats %+v", s)
			}
			f.Retire()
			<-f.Closed()
		})
	}
}

func exchangeWithBodies(s filters.Stream) {
	for d := filters.Request; d <= filters.Response; d++ {
		var held message.Body
		s.Head(d, false)
		s.Body(d, &held, []byte("some "), false)
		s.Body(d, &held, []byte("body"), false)
		s.Trailers(d)
	}
}
