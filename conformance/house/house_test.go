// Package house_test keeps the house in order: who may import whom, how long files are, and what never stands in the code.
package house_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rooms says for each folder which of ours it may import: itself and what is below it is always allowed. A folder that is not
// listed may import nothing of ours and be imported by nobody; a trailing "/..." stands for all folders below.
var rooms = map[string][]string{
	"filters":         {"filters/message"},
	"filters/message": {},
	"filters/headers": {"filters", "filters/message"},

	"mpm":                {"mpm/internal/..."},
	"mpm/internal/poll":  {},
	"mpm/internal/state": {},
	"mpm/internal/wheel": {},
	"mpm/internal/queue": {},
	"mpm/internal/admit": {},
	"wasmhost":           {"filters", "filters/message", "wasmhost/..."},
	"wasmhost/proxywasm": {"filters", "filters/message", "wasmhost/internal/..."},
	"wasmhost/httpwasm":  {"filters", "filters/message", "wasmhost/internal/..."},
	"wasmhost/meter":     {},
	"runtime/wire":       {"mpm"},
	"runtime/certs":      {},
	"runtime/http1":      {"filters/message"},
	"runtime/http2":      {"filters/message"},
	"runtime/route":      {"filters", "filters/message"},
	"runtime/upstream":   {"filters/message", "mpm", "runtime/wire", "runtime/http1", "runtime/http2"},
	"runtime/files":      {"filters/message", "mpm", "runtime/wire", "runtime/http1"},
	"runtime/config":     {},
	"runtime/control":    {"runtime/config", "runtime/control/..."},
	"runtime/watch":      {},
	"runtime/admin":      {},
	"runtime/metrics":    {},
	"runtime/accesslog":  {},
	"runtime/server":     {"mpm", "filters", "filters/message", "runtime/wire", "runtime/certs", "runtime/http1", "runtime/http2", "runtime/route", "runtime/upstream", "runtime/files", "runtime/metrics", "runtime/accesslog"},

	"runtime/control/board":   {},
	"runtime/control/sockets": {},
	"runtime/control/systemd": {"runtime/control/sockets"},
	"runtime/control/upgrade": {},
	"examples/wasm/greeter":   {},

	"runtime/control/confine": {},
}

// free are the folders the table does not bind: cmd ties the knot, conformance looks at everything from outside.
var free = []string{"cmd/", "conformance/"}

// netHTTP are the only rooms that may use net/http.
var netHTTP = map[string]bool{"runtime/admin": true}

const module = "edge/"

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) (list []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

const root = "../.."

// TestImports holds every import against the table.
func TestImports(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		if isFree(from) {
			continue
		}
		allowed, known := rooms[from]
		if !known && !strings.Contains(from, "/internal/") {
			t.Errorf("%s is not in the table of rooms", from)
			continue
		}
		for _, imp := range p.Imports {
			if imp == "net/http" && !netHTTP[from] {
				t.Errorf("%s imports net/http", from)
			}
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			seen++
			if !known {
				allowed = internalMay(from)
			}
			if !permitted(from, to, allowed) {
				t.Errorf("%s may not import %s", from, to)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d imports seen: the test looks at the wrong place", seen)
	}
}

// internalMay is what an internal folder may import: what the room around it may.
func internalMay(from string) []string {
	room, _, _ := strings.Cut(from, "/internal/")
	return rooms[room]
}

func isFree(folder string) bool {
	for _, f := range free {
		if strings.HasPrefix(folder+"/", f) {
			return true
		}
	}
	return false
}

func permitted(from, to string, allowed []string) bool {
	for _, a := range allowed {
		if below, ok := strings.CutSuffix(a, "/..."); ok && strings.HasPrefix(to+"/", below+"/") || a == to {
			return true
		}
	}
	return strings.HasPrefix(to, from+"/")
}

// Bounds of a source file.
const (
	maxLines  = 600
	maxColumn = 160
)

var banned = regexp.MustCompile(`(?i)\bTODO\b|\bFIXME\b|\bXXX\b|LockOSThread\(`)

// threads are the files that hold on to an OS thread. A worker must never: stepping a coroutine from one is fatal.
var threads = map[string]bool{"runtime/control/confine/fence.go": true, "conformance/lifecycle/intruder_amd64_test.go": true}

// TestFiles holds every Go file against the house rules: length, width, and words that stand for work not done.
func TestFiles(t *testing.T) {
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		files++
		checkFile(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files seen: the test looks at the wrong place", files)
	}
}

func checkFile(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	test := strings.HasSuffix(path, "_test.go")
	lines := 0
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		lines++
		line := strings.ReplaceAll(in.Text(), "\t", "    ")
		if len([]rune(line)) > maxColumn && !test {
			t.Errorf("%s:%d: longer than %d columns", path, lines, maxColumn)
		}
		if banned.MatchString(line) && !strings.HasSuffix(path, "house_test.go") && !threads[strings.TrimPrefix(path, root+"/")] {
			t.Errorf("%s:%d: %s", path, lines, strings.TrimSpace(line))
		}
	}
	if lines > maxLines && !test {
		t.Errorf("%s has %d lines; one idea a file, at most %d lines", path, lines, maxLines)
	}
}
