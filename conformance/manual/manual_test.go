// Package manual holds the manual, docs/*.md, against the code: every key with its default and its bounds, every verb, flag, signal,
// exit status, metric, log field, host call, property and bound is described, and nothing is described that does not exist. It is
// the one suite that reads the source; it also asks the binary.
package manual

import (
	"strings"
	"testing"

	"edge/conformance/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// page is a page of the manual with its check and the headings whose rows count.
type page struct {
	path  string
	check func(text string) (complaints []string)
	rows  func(r row) bool
}

func everyRow(row) bool { return true }

func pages(t *testing.T) []page {
	families, accessLog := scraped(t)
	return []page{
		{"docs/configuration.md", checkConfig(t, configKeys(t)), everyRow},
		{"docs/commands.md", checkCommands(t), everyRow},
		{"docs/metrics.md", checkMetrics(t, families), everyRow},
		{"docs/logs.md", checkLogs(t, accessLog), everyRow},
		{"docs/filters.md", checkFilters(t), everyRow},
		{"docs/limits.md", checkLimits(t), func(r row) bool {
			_, constant, _ := strings.Cut(r.last(), ".")
			return exportedMax.MatchString(constant) && !strings.HasPrefix(r.last(), "config.")
		}},
		{"docs/upstreams.md", checkUpstreams(t), func(r row) bool { return r.heading == "Which server" }},
	}
}

// TestManual is the manual as it is. Then it takes each row out, one at a time, and writes one in that describes nothing: the checks
// have to complain of that, or they prove nothing.
func TestManual(t *testing.T) {
	for _, p := range pages(t) {
		t.Run(p.path, func(t *testing.T) {
			text := read(t, p.path)
			for _, c := range p.check(text) {
				t.Error(c)
			}
			if t.Failed() {
				return
			}
			lines, tried := strings.Split(text, "\n"), 0
			for _, r := range rows(text) {
				if !p.rows(r) {
					continue
				}
				tried++
				without := strings.Join(append(lines[:r.line:r.line], lines[r.line+1:]...), "\n")
				if len(p.check(without)) == 0 {
					t.Errorf("nobody would miss line %d: %s", r.line+1, lines[r.line])
				}
				cells := strings.Split(strings.Trim(lines[r.line], "|"), "|")
				for i := range cells {
					if i == 0 || i == len(cells)-1 {
						cells[i] = " `not.there` "
					}
				}
				more := strings.Join(lines[:r.line], "\n") + "\n|" + strings.Join(cells, "|") + "|\n" + strings.Join(lines[r.line:], "\n")
				if len(p.check(more)) == 0 {
					t.Errorf("nobody would mind a false row at line %d: %s", r.line+1, lines[r.line])
				}
			}
			if tried == 0 {
				t.Error("no row was tried")
			}
		})
	}
}
