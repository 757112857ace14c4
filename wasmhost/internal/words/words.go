// Package words keeps what a guest wrote last, to be shown where it fails: panics tell their reason on standard error, or in
// a log line, before they end the guest.
package words

import "strings"

// Bounds on what is kept of one call.
const (
	maxLines = 16
	maxLine  = 512  // bytes; more is cut off
	maxText  = 2048 // bytes of all lines together as they are shown
)

// openings are how languages begin to tell of a panic. What follows such a line belongs to it.
var openings = [...]string{
	"panic: ", "fatal error: ", // Go, TinyGo
	"panicked at ",     // Rust
	"abort: ",          // AssemblyScript
	"Assertion failed", // C, C++
	"terminat",         // C++: "libc++abi: terminating", "terminate called"
}

// Words are the last lines of one call: the newest maxLines, or, from the beginning of a panic on, the first. They belong to
// the guest's instance.
type Words struct {
	lines  [maxLines]string
	n      int  // lines added
	opened bool // by a panic: there is nothing before it, and what does not fit behind it is dropped
}

// Reset is the beginning of another call.
func (w *Words) Reset() {
	if w.n > 0 {
		*w = Words{}
	}
}

// Add keeps a line.
func (w *Words) Add(line string) {
	if len(line) > maxLine {
		line = strings.Clone(line[:maxLine])
	}
	if !w.opened {
		for _, o := range openings {
			if strings.Contains(line, o) {
				*w = Words{opened: true}
				break
			}
		}
	} else if w.n == maxLines {
		return
	}
	w.lines[w.n%maxLines] = line
	w.n++
}

// String is the lines, oldest first, with "; " between.
func (w *Words) String() string {
	var b strings.Builder
	for k := max(0, w.n-maxLines); k < w.n; k++ {
		line := strings.TrimSpace(w.lines[k%maxLines])
		if line == "" {
			continue
		}
		if b.Len()+len(line) > maxText {
			break
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}
