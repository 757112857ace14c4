package link

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"
)

// Bounds of a trace.
const (
	// MaxTraceLines is how many lines one call of the guest may make; more are dropped and counted.
	MaxTraceLines = 1024

	maxTraceText = 256 // bytes of one text; more is cut off and shown as …
	maxTraceLine = 4 << 10
)

// Call is a host call being traced. It is made for one call, and reads the guest's memory before and after it.
type Call struct {
	letters string
	args    [16]uint64
	memory  api.Memory
	abi     *ABI
	line    []byte
}

// ABI is what a trace needs to know of an ABI.
type ABI struct {
	Names map[byte][]string                          // of numbers, by letter
	Pairs func(b []byte) (list [][2]string, ok bool) // of a header map; nil where the ABI has none
}

// Begin takes down a call's name and arguments. The arguments' letters are those of ValueTypes, 16 at most.
func (abi *ABI) Begin(name, letters string, args []uint64, memory api.Memory) *Call {
	c := &Call{letters: letters, memory: memory, abi: abi}
	copy(c.args[:], args[:min(len(letters), len(args))])
	c.line = append(append(c.line, name...), '(')
	first := true
	for k := range letters {
		if strings.IndexByte("nouOXNBL", letters[k]) >= 0 {
			continue // shown with the one before, or when there is something there
		}
		if !first {
			c.line = append(c.line, ", "...)
		}
		first = false
		c.argument(k)
	}
	c.line = append(c.line, ')')
	return c
}

func (c *Call) argument(k int) {
	letter, v := c.letters[k], c.args[k]
	switch letter {
	case 'a', 'q', 'x':
		b, fits := c.memory.Read(uint32(v), uint32(c.args[k+1]))
		switch {
		case !fits && uint32(c.args[k+1]) > 0:
			c.line = append(c.line, "outside:"...)
			c.line = strconv.AppendUint(c.line, uint64(uint32(v)), 10)
			c.line = strconv.AppendUint(append(c.line, '+'), uint64(uint32(c.args[k+1])), 10)
		case letter == 'q':
			c.quote(strings.ReplaceAll(strings.TrimSuffix(string(b[:min(len(b), maxTraceText)]), "\x00"), "\x00", "."))
		case letter == 'x':
			c.pairs(b)
		default:
			c.text(b)
		}
	case 'I':
		c.line = strconv.AppendInt(c.line, int64(v), 10)
	default:
		c.number(letter, uint32(v))
	}
}

// number shows a number by its name where it has one.
func (c *Call) number(letter byte, v uint32) {
	if names := c.abi.Names[letter]; uint64(v) < uint64(len(names)) && names[v] != "" {
		c.line = append(c.line, names[v]...)
		return
	}
	c.line = strconv.AppendInt(c.line, int64(int32(v)), 10)
}

func (c *Call) pairs(b []byte) {
	list, ok := c.abi.Pairs(b)
	if !ok {
		c.line = append(c.line, "no map"...)
		return
	}
	c.line = append(c.line, '{')
	for k, p := range list {
		if k > 0 {
			c.line = append(c.line, ", "...)
		}
		if len(c.line) > maxTraceLine {
			c.line = append(c.line, "…"...)
			break
		}
		c.text([]byte(p[0]))
		c.line = append(c.line, ": "...)
		c.text([]byte(p[1]))
	}
	c.line = append(c.line, '}')
}

func (c *Call) text(b []byte) { c.quote(string(b[:min(len(b), maxTraceText+1)])) }

// quote appends a text, in quotes and cut.
func (c *Call) quote(s string) {
	cut := len(s) > maxTraceText
	if cut {
		end := maxTraceText
		for end > maxTraceText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	c.line = strconv.AppendQuote(c.line, s)
	if cut {
		c.line = append(c.line, "…"...)
	}
}

// Status is the line after a call that returned a number, which the ABI has names for under letter.
func (c *Call) Status(letter byte, v uint32, good bool) string {
	c.line = append(c.line, " = "...)
	c.number(letter, v)
	if good {
		c.written()
	}
	return c.String()
}

// Returned is the line after a call that returned what the letter says; 0 is nothing.
func (c *Call) Returned(letter byte, v uint64) string {
	if letter == 0 {
		return c.String()
	}
	c.line = append(c.line, " = "...)
	room, n, fits := c.room(), int(uint32(v)), true
	switch letter {
	case 'V':
		c.line = strconv.AppendUint(c.line, v>>32, 10)
	case 'E':
		c.line = append(c.line, [...]string{"more", "end"}[v>>32&1]...)
	case 'n':
		c.line = strconv.AppendInt(c.line, int64(n), 10)
	default:
		c.number(letter, uint32(v))
		return c.String()
	}
	var b []byte
	if room >= 0 && n <= int(uint32(c.args[room+1])) {
		b, fits = c.memory.Read(uint32(c.args[room]), uint32(n))
		if fits {
			c.line = append(c.line, ' ')
			c.text(b)
		}
	}
	return c.String()
}

// room is the index of the argument that says where a result has room, or -1.
func (c *Call) room() int { return strings.IndexByte(c.letters, 'B') }

// written shows what the call has put behind its out pointers.
func (c *Call) written() {
	for k := range c.letters {
		at := uint32(c.args[k])
		switch c.letters[k] {
		case 'o':
			if v, fits := c.memory.ReadUint32Le(at); fits {
				c.line = strconv.AppendUint(append(c.line, ' '), uint64(v), 10)
			}
		case 'u':
			if v, fits := c.memory.ReadUint64Le(at); fits {
				c.line = strconv.AppendUint(append(c.line, ' '), v, 10)
			}
		case 'O', 'X':
			where, fits := c.memory.ReadUint32Le(at)
			n, fits2 := c.memory.ReadUint32Le(uint32(c.args[k+1]))
			if b, fits3 := c.memory.Read(where, n); fits && fits2 && (fits3 || n == 0) {
				c.line = append(c.line, ' ')
				if c.letters[k] == 'X' {
					c.pairs(b)
				} else {
					c.text(b)
				}
			}
		}
	}
}

// Trapped is the line of a call that ended the guest's.
func (c *Call) Trapped() string {
	c.line = append(c.line, " = trap"...)
	return c.String()
}

// String is the line so far, cut to its bound.
func (c *Call) String() string {
	if len(c.line) > maxTraceLine+len("…") {
		c.line = append(c.line[:maxTraceLine], "…"...)
	}
	return string(c.line)
}
