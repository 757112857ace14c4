package wasmhost

import (
	"strconv"
	"strings"

	"edge/wasmhost/meter"
)

// Bounds on what is told of an error.
const (
	maxError  = 1 << 10 // bytes
	maxStack  = 2 << 10 // bytes
	maxFrames = 32      // of the stack, with repeated ones counted once
)

// stackMark is where wazero's stack begins in an error's text.
const stackMark = "\nwasm stack trace:"

// numbers say what the numbers of a metered module's functions stand for: imports, the meter's the last of them, then the
// guest's own, then the meter's. The zero value is that of a module that is not metered.
type numbers struct{ imports, own int }

// explain takes wazero's error apart: what happened on one line, and the guest's stack, innermost function first.
func explain(err error, n numbers) (text, stack string) {
	text, frames, _ := strings.Cut(err.Error(), stackMark)
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Replace(strings.Replace(text, " (recovered by wazero)", "", 1), "wasm error: ", "", 1)
	return text[:min(len(text), maxError)], stackOf(frames, n)
}

// explained is an error in explain's words.
type explained struct {
	error
	text string
}

// Error is the text.
func (e explained) Error() string { return e.text }

// Unwrap is the error that was explained.
func (e explained) Unwrap() error { return e.error }

// stackOf cleans wazero's stack: a function's name without its type, the meter's own left out, one that calls itself shown
// once with how many times, and functions without a name under the number they have in the module as it came.
func stackOf(frames string, n numbers) string {
	var b strings.Builder
	last, times, shown := "", 0, 0
	flush := func() {
		if times == 0 || shown == maxFrames || b.Len()+len(last) > maxStack {
			return
		}
		if shown++; b.Len() > 0 {
			b.WriteString(" < ")
		}
		b.WriteString(last)
		if times > 1 {
			b.WriteString(" (" + strconv.Itoa(times) + " times)")
		}
	}
	for frame := range strings.Lines(frames) {
		name := frameName(strings.TrimSpace(frame), n)
		switch {
		case name == "":
		case name == last:
			times++
		default:
			flush()
			last, times = name, 1
		}
	}
	flush()
	return b.String()
}

// frameName is the function's name in a line of wazero's stack, or "" where it has none to show.
func frameName(line string, n numbers) string {
	if strings.HasPrefix(line, "... ") {
		return "…"
	}
	name, typed := line, strings.LastIndexByte(line, '(')
	if typed <= 0 || strings.HasPrefix(line, "0x") || strings.HasPrefix(line, meter.Module+".") {
		return "" // the place in a source, which is of no function, or the meter
	}
	name = strings.TrimPrefix(name[:typed], ".")
	if index, numbered := strings.CutPrefix(name, "$"); numbered && n.own > 0 {
		switch k, err := strconv.Atoi(index); {
		case err != nil || k < n.imports:
		case k >= n.imports+n.own:
			return "" // the meter's
		default:
			return "$" + strconv.Itoa(k-1)
		}
	}
	return name
}
