package meter

import "errors"

// reader reads the binary format. Its first error stays: what is read after it is 0 or nil, and loops must ask ok.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) ok() bool { return r.err == nil }

func (r *reader) more() bool { return r.err == nil && r.at < len(r.b) }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

var errEnd = malformed("it ends in the middle")

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.at >= len(r.b) {
		r.err = errEnd
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) take(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.b)-r.at) {
		r.err = errEnd
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	if r.err == nil && r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint32(r.b[r.at-1])
	}
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.fail(malformed("a number has more than 32 bits"))
	return 0
}

// count reads the length of a vector whose elements take a byte or more each.
func (r *reader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.b)-r.at) {
		r.fail(errEnd)
		return 0
	}
	return n
}

// skipLEB passes a LEB128 number of at most bits bits.
func (r *reader) skipLEB(bits int) {
	for n := 0; n < bits; n += 7 {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail(malformed("a number has more than %d bits", bits))
}

// s33 reads a signed LEB128 number of at most 33 bits.
func (r *reader) s33() int64 {
	var v int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.fail(malformed("a number has more than 33 bits"))
	return 0
}

// values passes the types of n values, and says how many there are.
func (r *reader) values(n uint32) int {
	for k := uint32(0); k < n && r.ok(); k++ {
		r.valueType()
	}
	return int(n)
}

// valueType reads the type of a value. wazero knows types that take more bytes than one, beyond WebAssembly 2.0: an engine
// that reads on where the rewriter has stopped would run code that nobody meters.
func (r *reader) valueType() byte {
	t := r.byte()
	if r.ok() && (t < typeV128 || t > typeI32) && t != typeFuncref && t != typeExternref {
		r.fail(unsupported("the value type 0x%02x", t))
	}
	return t
}

// vectorOp reads what follows the prefix of a vector instruction. wazero 1.12 takes its first byte for the instruction, and
// the second, where there is one, for a nop: any other second byte would be code that only wazero sees.
func (r *reader) vectorOp() uint32 {
	op := r.byte()
	if op >= 0x80 {
		if second := r.byte(); second != 1 {
			r.fail(unsupported("the instruction 0xfd 0x%02x 0x%02x", op, second))
		}
	}
	return uint32(op)
}

// referenceType is valueType for references alone.
func (r *reader) referenceType() byte {
	t := r.byte()
	if r.ok() && t != typeFuncref && t != typeExternref {
		r.fail(unsupported("the reference type 0x%02x", t))
	}
	return t
}

func (r *reader) name() string { return string(r.take(r.u32())) }

// end says that everything should have been read.
func (r *reader) end(what string) error {
	switch {
	case errors.Is(r.err, ErrMalformed) || errors.Is(r.err, ErrUnsupported):
		return r.err
	case r.at != len(r.b):
		return malformed("%s has bytes after its end", what)
	}
	return nil
}
