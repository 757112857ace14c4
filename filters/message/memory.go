package message

import "unsafe"

// Memory is the number of bytes that the list keeps for its next message, whatever it holds now: who keeps many lists looks at it
// before keeping one more.
func (f *Fields) Memory() int { return cap(f.text) + cap(f.lines)*int(unsafe.Sizeof(line{})) }
