package config

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestIndexPlaces(t *testing.T) {
	text := "# comment\n" +
		"a = 1\n" +
		"  b.\"c d\".'e' = [ # ]\n" + // line 3
		"    1, \"]\", '''\n]\n''', # ,\n" + // 4: 1 at 5, "]" at 8, ''' at 13
		"    { x = 1, y.z = \"\"\"}\n\"\"\"\"\"}, []]\n" + // 7: { at 5, x at 7
		"[t]\n" + // 9
		"k = 1979-05-27 07:32:00\n" +
		"[[l]] # one\n" +
		"k = 1\r\n" +
		"[[l]]\n" +
		"k = \"\\\"\\u00e9\\n\"\n" +
		"\"\\u00e9\\t\" = true\n" +
		"[l.sub]\n" + // 16
		"[[l.deep]]\n" +
		"v = 1\n" +
		"[t.below]\n"
	var values map[string]any
	if _, err := toml.Decode(text, &values); err != nil {
		t.Fatal(err)
	}
	root, err, _ := index(text)
	if err != nil {
		t.Fatal(err)
	}
	if why := disagree("", values, root); why != "" {
		t.Error(why)
	}
	want := `a 2:1
b 3:3
b."c d" 3:3
b."c d".e 3:3
b."c d".e[0] 4:5
b."c d".e[1] 4:8
b."c d".e[2] 4:13
b."c d".e[3] 7:5
b."c d".e[3].x 7:7
b."c d".e[3].y 7:14
b."c d".e[3].y.z 7:14
b."c d".e[4] 8:9
l 11:1
l[0] 11:1
l[0].k 12:1
l[1] 13:1
l[1].deep 17:1
l[1].deep[0] 17:1
l[1].deep[0].v 18:1
l[1].k 14:1
l[1].sub 16:1
l[1]."\u00e9\t" 15:1
t 9:1
t.below 19:1
t.k 10:1
`
	got := strings.ReplaceAll(strings.Join(places("", root), ""), "é", `\u00e9`)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// places are the marks below m, in the order of their keys.
func places(path string, m *mark) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m.keys)) {
		s := section{path: path}
		out = append(out, fmt.Sprintf("%s %d:%d\n", s.sub(k), m.keys[k].line, m.keys[k].column))
		out = append(out, places(s.sub(k), m.keys[k])...)
	}
	for i, below := range m.items {
		out = append(out, fmt.Sprintf("%s %d:%d\n", item(path, i), below.line, below.column))
		out = append(out, places(item(path, i), below)...)
	}
	return out
}

// disagree says where a decoded tree and its marks are not of one shape.
func disagree(path string, value any, m *mark) string {
	switch v := value.(type) {
	case map[string]any:
		if len(v) != len(m.keys) {
			return fmt.Sprintf("%s: %d keys decoded, %d marked", path, len(v), len(m.keys))
		}
		for k, below := range v {
			if m.keys[k] == nil {
				return fmt.Sprintf("%s: no mark for %q", path, k)
			}
			if why := disagree(path+"."+k, below, m.keys[k]); why != "" {
				return why
			}
		}
	case []any:
		if len(v) != len(m.items) || !m.list {
			return fmt.Sprintf("%s: %d elements decoded, %d marked", path, len(v), len(m.items))
		}
		for i, below := range v {
			if why := disagree(item(path, i), below, m.items[i]); why != "" {
				return why
			}
		}
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return disagree(path, list, m)
	default:
		if len(m.keys) > 0 || len(m.items) > 0 {
			return fmt.Sprintf("%s: a plain value has marks below", path)
		}
	}
	return ""
}

// FuzzParse checks that no text makes Parse fail in a way of its own: it never panics, every problem has a line within the
// text, and of valid TOML the index knows just the keys and elements that the decoder finds.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "a", "[", "[[", "[a", "a.b=1", "a={b=1,\"c\"=[1,2,{}]}", "a='''x'''''", "a=\"\"\"\\\"\"\"\"\"", "\xef\xbb\xbfa=1\n",
		"[a]\n[[a.b]]\nc=1\n[[a.b]]\n[a.b.d]\n", "a=[[],[[]]]", "a=1\r\nb=2\r\n", "a=1979-05-27 07:32:00Z#x\n[b]",
		"listen=[{address=':0'}]\nroutes=[{respond={}}]\n[filters.a]\nmodule='x.wasm'", BuiltinText, frame,
		"a=\"\\x41\\e\"\n\"\\x41\"=1", "a = { # c\n b = 1,\n}", "''=1\n\"\"='x'", "a=inf\nb=nan\nc=+1_0\nd=0xF",
	} {
		f.Add([]byte(seed))
	}
	if example, err := os.ReadFile("../../edge.toml"); err == nil {
		f.Add(example)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bytes.Count(data, []byte("\n")) + 1
		cfg, problems := Parse("nowhere/edge.toml", data, testOptions)
		for _, p := range slices.Concat(problems, cfg.Warnings) {
			if p.Line < 1 || p.Line > lines || strings.Contains(p.String(), "\n") {
				t.Errorf("line %d of %d: %s", p.Line, lines, p)
			}
		}
		values, problem := decode(data)
		if problem != nil {
			return
		}
		root, err, _ := index(string(data))
		if err != nil {
			t.Fatalf("valid TOML, and the index says: %v", err)
		}
		if why := disagree("", values, root); why != "" {
			t.Error(why)
		}
	})
}
