package http1

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"edge/filters/message"
)

// lowerToken gives the lower case of a byte that may stand in a token (RFC 9110 section 5.6.2), and 0 for any other.
var lowerToken = func() (t [256]byte) {
	for c := range 256 {
		if message.IsToken(byte(c)) {
			t[c] = byte(c)
			if 'A' <= c && c <= 'Z' {
				t[c] |= 0x20
			}
		}
	}
	return t
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controlAt returns the index, from i on, of the first byte of b that may not stand in a field value (RFC 9110
// section 5.5), or len(b). It takes eight bytes a step. In a word, a borrow can only mark bytes above one that is truly
// marked, so the lowest mark is exact.
func controlAt(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		mark := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if mark == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(mark) >> 3
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && message.IsValue(b[i]) {
		i++
	}
	return i
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// view is b as a string that shares its bytes; whoever makes one answers for the bytes staying as they are.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// equalFold compares s with a lower-case word without regard to case. Both are ASCII where they can be equal.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
