package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"edge/conformance/rig"
)

// TestCacheBetweenRuns: what one run has compiled the next one loads, whatever the file is called; what has been damaged is compiled
// again.
func TestCacheBetweenRuns(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	run := func(said string, counts map[string]float64) {
		t.Helper()
		b := newBed(t, plot{server: fmt.Sprintf("cache = %q\n", cache)})
		b.logged(t, said)
		m := b.Metrics()
		for _, result := range []string{"hit", "miss", "damaged", "failed"} {
			if got := m.Sum("edge_module_cache_total", fmt.Sprintf("result=%q", result)); got != counts[result] {
				t.Errorf("%s: %v, want %v", result, got, counts[result])
			}
		}
		b.Stop()
	}
	run(" compiled ", map[string]float64{"miss": 1})
	run("loaded the compiled code of ", map[string]float64{"hit": 1})
	code, err := filepath.Glob(filepath.Join(cache, "*", "wazero-*", "*"))
	if err != nil || len(code) != 1 {
		t.Fatalf("the cache has %v, %v", code, err)
	}
	data, err := os.ReadFile(code[0])
	rig.Must(t, err)
	for k := range data {
		data[k] ^= 0x55
	}
	rig.Must(t, os.WriteFile(code[0], data, 0o600))
	run(" compiled ", map[string]float64{"miss": 1, "damaged": 1})
	run("loaded the compiled code of ", map[string]float64{"hit": 1})
}

// TestUnsafeCache: edge serves without a cache that others can get at, and says why.
func TestUnsafeCache(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	rig.Must(t, os.Mkdir(cache, 0o700))
	rig.Must(t, os.Chmod(cache, 0o777))
	b := newBed(t, plot{server: fmt.Sprintf("cache = %q\n", cache)})
	b.logged(t, " warn ", cache, "0777", "compiled at every start")
	if list, err := os.ReadDir(cache); err != nil || len(list) > 0 {
		t.Errorf("the directory holds %v, %v", list, err)
	}
}
