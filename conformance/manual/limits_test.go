package manual

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// bounded are the folders whose bounds are in limits.md. Every exported constant that begins with Max has to be; others may be.
var bounded = []string{
	"mpm", "mpm/internal/admit", "filters", "filters/message", "wasmhost", "wasmhost/proxywasm", "wasmhost/httpwasm", "wasmhost/internal/link",
	"wasmhost/internal/commons", "wasmhost/internal/wasi",
	"runtime/http1", "runtime/http2", "runtime/server", "runtime/upstream", "runtime/files", "runtime/wire", "runtime/certs",
	"runtime/accesslog", "runtime/metrics", "runtime/admin", "runtime/config", "runtime/watch", "runtime/control", "runtime/control/upgrade",
	"cmd/edge",
}

var exportedMax = regexp.MustCompile(`^Max[A-Z]`)

// checkLimits holds limits.md against the constants. The bounds of keys are in configuration.md and are held against it there.
func checkLimits(t *testing.T) func(page string) []string {
	values := map[string]int64{}
	var must []string
	for _, folder := range bounded {
		name := filepath.Base(folder)
		if folder == "cmd/edge" {
			name = "main"
		}
		for c, n := range load(t, folder).constants() {
			values[name+"."+c] = n
			if exportedMax.MatchString(c) && name != "config" {
				must = append(must, name+"."+c)
			}
		}
	}
	if len(must) < 20 {
		t.Errorf("only %d bounds found: the test looks at the wrong place", len(must))
	}
	return func(page string) (complaints []string) {
		var documented []string
		for _, r := range rows(page) {
			name := r.last()
			documented = append(documented, name)
			n, ok := values[name]
			if !ok {
				complaints = append(complaints, "bound "+name+" is in the manual and does not exist")
				continue
			}
			if !slices.Contains([]string{number(n), size(n), shortDuration(time.Duration(n))}, r.cells[1]) || !plausible(r.cells[1], n) {
				complaints = append(complaints, fmt.Sprintf("bound %s is %d, the manual says %s", name, n, r.cells[1]))
			}
		}
		for _, name := range must {
			if !slices.Contains(documented, name) {
				complaints = append(complaints, "bound "+name+" is not in the manual")
			}
		}
		return complaints
	}
}

// plausible keeps a time from being read as bytes and the other way round.
func plausible(text string, n int64) bool {
	isTime := strings.ContainsRune("smh", rune(text[len(text)-1]))
	return isTime == (n >= int64(time.Millisecond) && n%int64(time.Millisecond) == 0)
}
