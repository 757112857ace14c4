package wasm

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/conformance/rig"
)

// rootScript is what probes' root contexts do at their start.
const rootScript = "configure: proxy_log 2 'root configured'"

// logLimit is how long a test waits for a line of edge's log at most.
const logLimit = 10 * time.Second

// TestHostCalls makes every host call in a guest of each version.
func TestHostCalls(t *testing.T) {
	for _, version := range []string{"0.1.0", "0.2.0", "0.2.1"} {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, version, rootScript, "allow = { upstreams = [\"app\"] }\n")
			for _, x := range slices.Concat(callCases, sharedCases) {
				t.Run(x.name, func(t *testing.T) { b.run(t, old(x, version)) })
			}
			b.run(t, exchange{do: "request_headers: journal; say", want: []string{"configure log=0"}})
			if !b.Log.WaitFor(func(log string) bool { return strings.Contains(log, "root configured") }, logLimit) {
				t.Error("the root context's line is not in the log")
			}
		})
	}
}

// old is a case as 0.1.0 sees it: a header that is not there is empty there, and ok.
func old(x exchange, version string) exchange {
	if version == "0.1.0" {
		x.want = slices.Clone(x.want)
		for k := range x.want {
			x.want[k] = strings.ReplaceAll(x.want[k], "value=1:", "value=0:")
		}
	}
	return x
}

var documented = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")

// TestEveryHostCallHasACase holds the cases against the manual's list of the host calls.
func TestEveryHostCallHasACase(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(rig.Root(t), "docs", "filters.md"))
	rig.Must(t, err)
	_, section, _ := strings.Cut(string(text), "\n## Host calls\n")
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\nWhat a guest may not say")
	calls := documented.FindAllStringSubmatch(section, -1)
	if len(calls) < 25 {
		t.Fatalf("only %d host calls found in the manual", len(calls))
	}
	made := append(names(slices.Concat(callCases, sharedCases)), "abort") // which says nothing: TestW97Abort
	for _, c := range rootCases {
		made = append(made, names([]exchange{{do: c.script, want: c.journal}})...)
	}
	for _, c := range calls {
		if !slices.Contains(made, c[1]) {
			t.Errorf("no case makes %s and says what it answers", c[1])
		}
	}
}
