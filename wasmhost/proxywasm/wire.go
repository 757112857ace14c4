package proxywasm

import "encoding/binary"

// A header map on the wire: a count, the lengths of each key and value, then each key and value with a zero byte after
// it; all numbers 32 bit, little endian. An empty map may have no bytes at all, or one.

// putPairs writes h into to, which has h.bytes() bytes.
func putPairs(to []byte, h *headers) {
	var buf [3]byte
	n := h.count()
	binary.LittleEndian.PutUint32(to, uint32(n))
	at, text := 4, 4+8*n
	for k := 0; k < n; k++ {
		key, value := h.at(k, &buf)
		binary.LittleEndian.PutUint32(to[at:], uint32(len(key)))
		binary.LittleEndian.PutUint32(to[at+4:], uint32(len(value)))
		at += 8
		text += copy(to[text:], key)
		to[text] = 0
		text += 1 + copy(to[text+1:], value)
		to[text] = 0
		text++
	}
}

// getPairs appends the pairs in b to list, as views of b. It returns false for anything that is not exactly a map: a
// count or length that lies, more than MaxMapPairs or MaxMapBytes (W100).
func getPairs(list [][2]string, b []byte) ([][2]string, bool) {
	if len(b) <= 1 {
		return list, true
	}
	if len(b) < 4 || len(b) > MaxMapBytes {
		return list, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n > MaxMapPairs || 4+8*int(n) > len(b) {
		return list, false
	}
	lengths, rest := b[4:4+8*n], b[4+8*n:]
	take := func(size uint32) (string, bool) {
		if uint64(size)+1 > uint64(len(rest)) || rest[size] != 0 {
			return "", false
		}
		s := text(rest[:size])
		rest = rest[size+1:]
		return s, true
	}
	for ; len(lengths) > 0; lengths = lengths[8:] {
		key, fits := take(binary.LittleEndian.Uint32(lengths))
		if !fits {
			return list, false
		}
		value, fits := take(binary.LittleEndian.Uint32(lengths[4:]))
		if !fits {
			return list, false
		}
		list = append(list, [2]string{key, value})
	}
	return list, true
}
