package words

import (
	"fmt"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	x := func(letter string) string { return strings.Repeat(letter, maxLine) }
	many := func(n int) (lines []string) {
		for k := range n {
			lines = append(lines, fmt.Sprint("line ", k))
		}
		return lines
	}
	for name, test := range map[string]struct {
		lines []string
		want  string
	}{
		"nothing":            {},
		"a few":              {[]string{"one", "", " two "}, "one; two"},
		"the newest of many": {many(100), strings.Join(many(100)[100-maxLines:], "; ")},
		"Go": {append(many(20), "panic: boom", "", "goroutine 1 [running]:", "main.f()"),
			"panic: boom; goroutine 1 [running]:; main.f()"},
		"Rust": {[]string{"before", "panicked at src/lib.rs:7:9:", "boom"}, "panicked at src/lib.rs:7:9:; boom"},
		"a panic is not lost": {append([]string{"fatal error: all goroutines are asleep"}, many(40)...),
			"fatal error: all goroutines are asleep; " + strings.Join(many(maxLines-1), "; ")},
		"a long line": {[]string{strings.Repeat("x", 3*maxLine)}, strings.Repeat("x", maxLine)},
		"long lines":  {[]string{x("x"), x("y"), x("z"), x("w")}, x("x") + "; " + x("y") + "; " + x("z")},
	} {
		t.Run(name, func(t *testing.T) {
			var w Words
			w.Add("of a call before")
			w.Reset()
			for _, line := range test.lines {
				w.Add(line)
			}
			if got := w.String(); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
