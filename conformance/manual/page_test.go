package manual

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// row is a row of a table in a page.
type row struct {
	heading string   // the nearest one above, without its marks
	line    int      // in the page, from 0
	cells   []string // trimmed
}

// name is the first thing in the row that is set as code.
func (r row) name() string {
	if m := inCode.FindStringSubmatch(r.cells[0]); m != nil {
		return m[1]
	}
	return ""
}

// last is the row's last cell's code.
func (r row) last() string {
	if m := inCode.FindStringSubmatch(r.cells[len(r.cells)-1]); m != nil {
		return m[1]
	}
	return ""
}

var inCode = regexp.MustCompile("`([^`]+)`")

// codes are all that is set as code in a text.
func codes(text string) (list []string) {
	for _, m := range inCode.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// rows are the rows of a page's tables, their heads left out.
func rows(page string) (list []row) {
	heading, head := "", true
	for i, line := range strings.Split(page, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case strings.HasPrefix(line, "|--"):
			head = false
			continue
		}
		if !strings.HasPrefix(line, "|") {
			head = true
			continue
		}
		if head {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for k := range cells {
			cells[k] = strings.TrimSpace(cells[k])
		}
		list = append(list, row{heading: heading, line: i, cells: cells})
	}
	return list
}

// under are the rows below one of these headings.
func under(page string, headings ...string) (list []row) {
	for _, r := range rows(page) {
		if slices.Contains(headings, r.heading) {
			list = append(list, r)
		}
	}
	return list
}

func names(list []row) (out []string) {
	for _, r := range list {
		out = append(out, r.name())
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// differ says what is in one list and not in the other, and what the manual has twice.
func differ(what string, documented, exist []string) (complaints []string) {
	for _, name := range exist {
		if !slices.Contains(documented, name) {
			complaints = append(complaints, what+" "+name+" is not in the manual")
		}
	}
	for i, name := range documented {
		if !slices.Contains(exist, name) {
			complaints = append(complaints, what+" "+name+" is in the manual and does not exist")
		}
		if slices.Contains(documented[:i], name) {
			complaints = append(complaints, what+" "+name+" is in the manual twice")
		}
	}
	return complaints
}

// TestLinks follows every link of the pages that leads to a file here.
func TestLinks(t *testing.T) {
	pages, _ := filepath.Glob(filepath.Join(root, "*.md"))
	more, _ := filepath.Glob(filepath.Join(root, "docs/*.md"))
	links := 0
	for _, p := range append(pages, more...) {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			target := p
			if file != "" {
				target = filepath.Join(filepath.Dir(p), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", p, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s: link to %s: no such heading", p, m[1])
			}
		}
	}
	if links < 10 {
		t.Errorf("only %d links seen: the test looks at the wrong place", links)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	noPlace = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are the places in a page that a link may name.
func anchors(t *testing.T, path string) (list []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			list = append(list, strings.ReplaceAll(noPlace.ReplaceAllString(heading, ""), " ", "-"))
		}
	}
	return list
}
