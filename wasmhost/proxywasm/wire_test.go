package proxywasm

import (
	"bytes"
	"testing"

	"edge/filters/message"
)

func FuzzPairs(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte(packed()))
	f.Add([]byte(packed("a", "b", "", "", "c", "")))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, valid := getPairs(nil, b)
		if !valid || len(b) <= 1 {
			return
		}
		if len(pairs) > MaxMapPairs {
			t.Fatalf("%d pairs", len(pairs))
		}
		h := headers{fields: &message.Fields{}}
		size := 4
		for _, p := range pairs {
			h.fields.Add(p[0], p[1])
			size += 8 + len(p[0]) + len(p[1]) + 2
		}
		if size > len(b) || h.bytes() != size {
			t.Fatalf("%d bytes of pairs, %d counted, from %d", size, h.bytes(), len(b))
		}
		to := make([]byte, size)
		putPairs(to, &h)
		if lower := bytes.ToLower(b[:size]); !bytes.Equal(to, b[:size]) && !bytes.Equal(bytes.ToLower(to), lower) {
			t.Fatalf("%q comes back as %q", b[:size], to)
		}
	})
}
