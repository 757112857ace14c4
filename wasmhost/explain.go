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

// explain takes wazero's error apart: what happened on one line, and the guest's stack, innermost function first. imports is
// how many functions the module imports, the meter's included; 0 where it is not metered.
func explain(err error, imports int) (text, stack string) {
	text, frames, _ := strings.Cut(err.Error(), stackMark)
	text = strings.TrimPrefix(strings.ReplaceAll(text, " (recovered by wazero)", ""), "wasm error: ")
	text, _, _ = strings.Cut(text, "\n")
	return text[:min(len(text), maxError)], stackOf(frames, imports)
}

// stackOf cleans wazero's stack: a function's name without its type, the meter's own left out, one that calls itself shown
// once with how many times, and functions without a name under the number they have in the module as it came.
func stackOf(frames string, imports int) string {
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
		name := frameName(strings.TrimSpace(frame), imports)
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
func frameName(line string, imports int) string {
	if strings.HasPrefix(line, "... ") {
		return "…"
	}
	name, typed := line, strings.LastIndexByte(line, '(')
	if typed <= 0 || strings.HasPrefix(line, "0x") || strings.HasPrefix(line, meter.Module+".") {
		return "" // the place in a source, which is of no function, or the meter
	}
	name = strings.TrimPrefix(name[:typed], ".")
	if index, numbered := strings.CutPrefix(name, "$"); numbered && imports > 0 {
		if k, err := strconv.Atoi(index); err == nil && k >= imports {
			return "$" + strconv.Itoa(k-1)
		}
	}
	return name
}
