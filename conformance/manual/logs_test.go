package manual

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	jsonKey  = regexp.MustCompile(`"(\w+)":`)
	faultKey = regexp.MustCompile(`^[a-z_]+$`)
	twoCaps  = regexp.MustCompile(`^[A-Z]{2}$`)
)

// checkLogs holds logs.md against the source of the access log and its flags, and against the lines of a running edge.
func checkLogs(t *testing.T, accessLog string) func(page string) []string {
	var fields, flags []string
	for _, text := range load(t, "runtime/accesslog").literals("json.go") {
		for _, m := range jsonKey.FindAllStringSubmatch(text, -1) {
			fields = append(fields, m[1])
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(accessLog) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Errorf("access log: %v: %s", err, line)
		}
		for k := range m {
			seen[k] = true
		}
	}
	for k := range seen {
		if !slices.Contains(fields, k) {
			t.Errorf("a line has the field %s, which json.go does not name", k)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d fields in the access log: %v", len(seen), slices.Sorted(maps.Keys(seen)))
	}
	for _, text := range slices.Concat(load(t, "runtime/server").literals(), load(t, "runtime/upstream").literals("cause.go"),
		load(t, "filters").literals("chain_answer.go")) {
		if twoCaps.MatchString(text) && !slices.Contains(flags, text) {
			flags = append(flags, text)
		}
	}
	ends := load(t, "filters").literals("ends.go") // what became of a filter
	var faultKeys []string
	for _, text := range load(t, "cmd/edge").literals("filterfault.go") {
		if faultKey.MatchString(text) {
			faultKeys = append(faultKeys, text)
		}
	}
	levels := levelNames(t)
	return func(page string) (complaints []string) {
		complaints = append(complaints, differ("field of the access log", names(under(page, "json")), fields)...)
		complaints = append(complaints, differ("key of a fault", names(under(page, "Faults")), faultKeys)...)
		complaints = append(complaints, differ("end of a filter", names(under(page, "Filters")), ends)...)
		complaints = append(complaints, differ("flag", names(under(page, "Flags")), flags)...)
		return append(complaints, differ("level", names(under(page, "Process log")), levels)...)
	}
}

// levelNames are the levels that the key log.level takes.
func levelNames(t *testing.T) (list []string) {
	s := load(t, "runtime/config")
	for _, k := range configKeys(t)["`[log]`"] {
		if k.name == "level" {
			for _, e := range k.args {
				v, _ := s.text(e)
				list = append(list, v)
			}
		}
	}
	return list
}

// checkUpstreams holds the flags of upstreams.md against those of the causes.
func checkUpstreams(t *testing.T) func(page string) []string {
	var flags []string
	for _, text := range load(t, "runtime/upstream").literals("cause.go") {
		if twoCaps.MatchString(text) {
			flags = append(flags, text)
		}
	}
	var balances []string
	for _, k := range configKeys(t)["`[upstreams.NAME]`"] {
		if k.name == "balance" {
			balances = []string{"least_requests", "round_robin", "random2", "hash:client_ip", "hash:NAME"}
		}
	}
	known := load(t, "runtime/config").literals("upstreams.go")
	for i, b := range balances {
		if b == "hash:NAME" {
			b = "hash:<header>"
		}
		if !slices.Contains(known, b) {
			t.Errorf("config knows no balance %s", balances[i])
		}
	}
	return func(page string) (complaints []string) {
		documented := []string{"LD"} // of the server itself
		for _, r := range under(page, "When it fails") {
			if f := r.cells[1]; !slices.Contains(documented, f) {
				documented = append(documented, f)
			}
		}
		complaints = append(complaints, differ("flag of an upstream", documented, append(flags, "LD"))...)
		return append(complaints, differ("balance", names(under(page, "Which server")), balances)...)
	}
}
