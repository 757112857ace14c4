package manual

import (
	"go/ast"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// help is what the binary says of itself, or of a verb.
func help(t *testing.T, verb ...string) string {
	t.Helper()
	out, err := exec.Command(rig.Binary(t), append(verb, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("edge %v --help: %v\n%s", verb, err, out)
	}
	return string(out)
}

var (
	verbLine = regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`)
	flagLine = regexp.MustCompile(`(?m)^ +(?:(-[A-Za-z]), )?(--[a-z-]+)`)
)

// part is the part of a help text below a title.
func part(text, title string) string {
	_, rest, _ := strings.Cut(text, "\n"+title+":\n")
	rest, _, _ = strings.Cut(rest, "\n\n")
	return rest
}

// checkCommands holds commands.md against what the binary says, and what the source says of signals and statuses.
func checkCommands(t *testing.T) func(page string) []string {
	var verbs []string
	for _, m := range verbLine.FindAllStringSubmatch(part(help(t), "Available Commands"), -1) {
		verbs = append(verbs, m[1])
	}
	flags := map[string][]string{} // by flag: the verbs that have it
	aliases := map[string][]string{}
	for _, v := range verbs {
		text := help(t, v)
		for _, m := range flagLine.FindAllStringSubmatch(part(text, "Flags"), -1) {
			flags[m[2]] = append(flags[m[2]], v)
			if m[1] != "" {
				flags[m[1]] = append(flags[m[1]], v)
			}
		}
		for a := range strings.SplitSeq(strings.TrimSpace(part(text, "Aliases")), ", ") {
			if a != "" && a != v {
				aliases[v] = append(aliases[v], a)
			}
		}
	}
	signals, statuses := processFacts(t)
	return func(page string) (complaints []string) {
		list := under(page, "Commands")
		complaints = append(complaints, differ("verb", names(list), verbs)...)
		for _, r := range list {
			for _, a := range aliases[r.name()] {
				if !strings.Contains(r.cells[1], "`"+a+"`") {
					complaints = append(complaints, "verb "+r.name()+" is also "+a+", which is not in the manual")
				}
			}
		}
		var documented, exist []string
		for _, r := range under(page, "Flags") {
			of := strings.Split(r.cells[1], ", ")
			if r.cells[1] == "all" {
				of = verbs
			}
			for _, f := range codes(r.cells[0]) {
				documented = append(documented, with(f, of)...)
			}
		}
		for f, of := range flags {
			exist = append(exist, with(f, of)...)
		}
		complaints = append(complaints, differ("flag", documented, exist)...)
		complaints = append(complaints, differ("signal", names(under(page, "run")), signals)...)
		return append(complaints, differ("exit status", names(under(page, "Exit status")), statuses)...)
	}
}

func with(flag string, verbs []string) (list []string) {
	for _, v := range verbs {
		list = append(list, flag+" of "+v)
	}
	return list
}

// processFacts are the signals that cmd/edge asks for, and the statuses that it ends with.
func processFacts(t *testing.T) (signals, statuses []string) {
	s := load(t, "cmd/edge")
	s.functions(func(_ string, body *ast.BlockStmt) {
		ast.Inspect(body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "Notify" {
				return true
			}
			for _, e := range call.Args[1:] {
				if sig, ok := e.(*ast.SelectorExpr); ok {
					signals = append(signals, sig.Sel.Name)
				}
			}
			return true
		})
	})
	for name, n := range s.constants() {
		if strings.HasPrefix(name, "exit") {
			statuses = append(statuses, strconv.FormatInt(n, 10))
		}
	}
	slices.Sort(statuses)
	if len(signals) == 0 || len(statuses) == 0 {
		t.Error("no signals or no statuses found: the test looks at the wrong place")
	}
	return signals, statuses
}
