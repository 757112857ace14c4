package http2

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

// A field that is a literal and changes no table (RFC 7541 sections 6.2.2 and 6.2.3) needs no decoder's state, and is what servers send
// most that keep no table. It is read here, into the message's own memory: the decoder makes strings of its own. All others are the
// decoder's, which has the table.

// tableSize is the length of the static table (RFC 7541 appendix A).
const tableSize = 61

// tableNames are its names, by index.
var tableNames = func() (t [tableSize + 1]string) {
	for i := range tableSize {
		fields, err := hpack.NewDecoder(0, nil).DecodeFull([]byte{0x80 | byte(i+1)})
		if err != nil {
			panic(err) // the library has no static table
		}
		t[i+1] = fields[0].Name
	}
	return t
}()

var errLateResize = errors.New("a table size update behind a field")

// scratch is memory for strings that are decoded from their Huffman code.
type scratch []byte

// Write is part of io.Writer.
func (s *scratch) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

// unpack decodes a block, whose fields go to section.field in their order. Its errors are those of the decoder.
func (c *Session) unpack(block []byte) error {
	own := false // there was a field that the decoder has not seen
	from := 0    // what is behind this has not been decoded
	for at := 0; at < len(block); {
		next, f, ours := cutField(block, at)
		switch {
		case next == 0: // cut off, or too large: the decoder says so
			at = len(block)
			continue
		case !ours && own && block[at]&0xe0 == tableOff:
			return errLateResize
		case !ours:
			at = next
			continue
		}
		if at > from {
			if _, err := c.decoder.Write(block[from:at]); err != nil {
				return err
			}
		}
		if err := c.literal(f); err != nil {
			return err
		}
		own, at, from = true, next, next
	}
	if from < len(block) {
		if _, err := c.decoder.Write(block[from:]); err != nil {
			return err
		}
	}
	return c.decoder.Close()
}

// rawField is a literal as it stands in a block.
type rawField struct {
	name        string // of the static table; "" where it is a string of its own
	rawName     []byte
	rawValue    []byte
	packedName  bool // by Huffman's code
	packedValue bool
}

// cutField finds the end of the representation at at: 0 where it is not all there. ours says that it is a literal without indexing whose
// name is of the static table or its own.
func cutField(block []byte, at int) (next int, f rawField, ours bool) {
	first, bits := block[at], uint(4)
	switch {
	case first >= 0x80:
		_, next = cutInteger(block, at, 7)
		return next, f, false
	case first >= 0x40:
		bits = 6
	case first >= 0x20:
		_, next = cutInteger(block, at, 5)
		return next, f, false
	}
	index, next := cutInteger(block, at, bits)
	if next == 0 {
		return 0, f, false
	}
	if index == 0 {
		if f.rawName, f.packedName, next = cutString(block, next); next == 0 {
			return 0, f, false
		}
	} else if index <= tableSize {
		f.name = tableNames[index]
	}
	if f.rawValue, f.packedValue, next = cutString(block, next); next == 0 {
		return 0, f, false
	}
	return next, f, bits == 4 && index <= tableSize
}

// cutInteger reads an integer with a prefix of so many bits (RFC 7541 section 5.1), at most of three bytes more: what is larger is nothing
// that a block could hold. next is 0 where there is none.
func cutInteger(block []byte, at int, bits uint) (n, next int) {
	if at >= len(block) {
		return 0, 0
	}
	most := 1<<bits - 1
	if n = int(block[at]) & most; n < most {
		return n, at + 1
	}
	for shift := uint(0); shift <= 14; shift += 7 {
		if at++; at >= len(block) {
			return 0, 0
		}
		n += int(block[at]&0x7f) << shift
		if block[at] < 0x80 {
			return n, at + 1
		}
	}
	return 0, 0
}

// cutString finds a string (section 5.2).
func cutString(block []byte, at int) (raw []byte, packed bool, next int) {
	if at >= len(block) {
		return nil, false, 0
	}
	packed = block[at] >= 0x80
	n, at := cutInteger(block, at, 7)
	if at == 0 || n > len(block)-at {
		return nil, false, 0
	}
	return block[at : at+n], packed, at + n
}

// literal takes a field that changes no table.
func (c *Session) literal(f rawField) error {
	o := c.o
	o.plain = o.plain[:0]
	most := 2 * c.limits.HeaderBytes
	name, err := f.name, error(nil)
	if name == "" {
		if name, err = o.unpacked(f.rawName, f.packedName, most); err != nil {
			return err
		}
	}
	value, err := o.unpacked(f.rawValue, f.packedValue, most)
	if err != nil {
		return err
	}
	if fields := o.read.fields; fields != nil && o.read.fault == ok {
		if f.name == "" {
			name = fields.Keep(name)
		}
		value = fields.Keep(value)
	}
	o.take(hpack.HeaderField{Name: name, Value: value})
	return nil
}

// unpacked is a view of a string of at most so many bytes, valid until the next field.
func (o *Output) unpacked(raw []byte, packed bool, most int) (string, error) {
	if len(raw) > most {
		return "", hpack.ErrStringLength
	}
	if !packed {
		return view(raw), nil
	}
	at := len(o.plain)
	if _, err := hpack.HuffmanDecode(&o.plain, raw); err != nil {
		return "", err
	}
	if len(o.plain)-at > most {
		return "", hpack.ErrStringLength
	}
	return view(o.plain[at:]), nil
}
