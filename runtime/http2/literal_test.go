package http2

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// unpacker decodes blocks one after the other, with literals read here or all by the library.
type unpacker struct {
	session Session
	library bool
}

func newUnpacker(library bool) *unpacker {
	u := &unpacker{library: library}
	l := DefaultLimits
	l.HeaderBytes = 4 << 10
	u.session = Session{limits: &l, o: NewOutput()}
	return u
}

// decode says what a block is: the fields, and what is wrong with them.
func (u *unpacker) decode(block []byte, trailers, table bool) string {
	c := &u.session
	fields := new(message.Fields)
	if table {
		fields = nil
	}
	if c.decoder == nil {
		c.decode(nil, false, nil, nil)
	}
	b := &c.o.read
	b.begin(c.limits, fields, trailers)
	err := error(nil)
	if u.library {
		if _, err = c.decoder.Write(block); err == nil {
			err = c.decoder.Close()
		}
	} else {
		err = c.unpack(block)
	}
	if err != nil {
		return fmt.Sprint("error ", err == hpack.ErrStringLength)
	}
	text := fmt.Sprint(b.fault, b.size, b.count, b.method, b.scheme, b.authority, b.path, b.protocol, b.host, b.length, b.expect, string(b.cookie))
	for i := 0; fields != nil && i < fields.Len(); i++ {
		name, value := fields.At(i)
		text += fmt.Sprintf(" %q=%q", name, value)
	}
	return text
}

// late says that a table size update stands behind a field: the library takes it where its table is empty, we do not where a literal of
// our own stands before it (RFC 7541 section 4.2).
func late(block []byte) bool {
	own := false
	for at := 0; at < len(block); {
		next, _, ours := cutField(block, at)
		if next == 0 {
			return false
		}
		if own && !ours && block[at]&0xe0 == tableOff {
			return true
		}
		own = own || ours
		at = next
	}
	return false
}

// FuzzLiterals: whatever blocks follow each other, they mean what the library says they mean.
func FuzzLiterals(f *testing.F) {
	for _, sensitive := range []bool{false, true} {
		var out bytes.Buffer
		e := hpack.NewEncoder(&out)
		for _, p := range [][2]string{{":method", "GET"}, {":path", "/a/b"}, {"cookie", "a=b"}, {"x-name", "some value"}, {"date", "\x00\x01"},
			{"x-name", "another"}, {"cookie", "c"}} {
			e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1], Sensitive: sensitive})
		}
		f.Add(out.Bytes(), out.Bytes(), out.Bytes(), uint8(0))
		f.Add(out.Bytes(), []byte{0x20, 0x82}, out.Bytes(), uint8(1))
	}
	plain := []byte("\x00\x03x-a\x01b\x0f\x0d\x05world\x10\x03x-b\x00")
	f.Add(plain, []byte("\x00\x03x-a\x01b\x20"), plain[:9], uint8(2))
	f.Add([]byte("\x00\x83\xff\xff\xff\x01b"), []byte("\x00\x01a\x7f\x00b"), []byte("\x0f\xff\xff\x00\x01"), uint8(4))
	f.Add([]byte("\x00\x01a\x7f\x80\x80\x80\x00"), []byte("\x00\x01a\x7f\x80\x80\x00"), []byte("\x0f\x80\x00\x01a"), uint8(4))
	f.Fuzz(func(t *testing.T, one, two, three []byte, how uint8) {
		ours, library := newUnpacker(false), newUnpacker(true)
		for i, block := range [][]byte{one, two, three} {
			if late(block) {
				return
			}
			trailers, table := how&1<<i != 0, how&8<<i != 0
			got, want := ours.decode(block, trailers, table), library.decode(block, trailers, table)
			if got != want {
				t.Fatalf("block %d %q:\n got %s\nwant %s", i, block, got, want)
			}
			if len(want) >= 5 && want[:5] == "error" {
				return
			}
		}
	})
}

// TestLateResize: RFC 7541 section 4.2.
func TestLateResize(t *testing.T) {
	if got := newUnpacker(false).decode([]byte("\x00\x03x-a\x01b\x20"), false, false); got != "error false" {
		t.Errorf("%s", got)
	}
}

// TestLiteralsCostNothing: fields that change no table are read without an allocation. Huffman's code is read with a pool of the
// library's, which is empty now and then: an allocation in some rounds is let pass.
func TestLiteralsCostNothing(t *testing.T) {
	pairs := [][2]string{{"content-type", "text/plain"}, {"date", "Sun, 22 Nov 2026 22:30:00 GMT"}, {"x-name", "some value"}}
	var packed bytes.Buffer
	var plain []byte
	e := hpack.NewEncoder(&packed)
	for _, p := range pairs {
		e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1], Sensitive: true})
		plain = appendField(plain, p[0], p[1])
	}
	for _, c := range []struct {
		name  string
		block []byte
		most  float64
	}{{"plain", plain, 0}, {"packed", packed.Bytes(), 2}} {
		t.Run(c.name, func(t *testing.T) {
			s := &newUnpacker(false).session
			fields := new(message.Fields)
			round := func() {
				fields.Reset()
				if s.decode(fields, false, c.block, nil) != ok {
					t.Fatal("not decoded")
				}
			}
			round()
			if n := testing.AllocsPerRun(100, round); n > c.most || fields.Len() != 3 || fields.Value("x-name") != "some value" {
				t.Errorf("%v allocations for %d fields", n, fields.Len())
			}
		})
	}
}
