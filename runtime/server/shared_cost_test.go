package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// cheapOrigin2 answers every request in HTTP/2 with the same, and allocates nothing for it.
func cheapOrigin2(t *testing.T, literal bool, fields ...string) (addr string) {
	t.Helper()
	return origin(t, func(c *peer, _ int) {
		c.SetDeadline(time.Time{})
		var out fixedWriter
		f := http2.NewFramer(&out, nil)
		f.WriteSettings()
		f.WriteSettingsAck()
		c.Conn.Write(out)
		out = out[:0]
		encoder := hpack.NewEncoder(&out)
		for i := 0; i < len(fields); i += 2 {
			encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: literal})
		}
		blocks := [2][]byte{append([]byte(nil), out...)}
		out = out[:0]
		for i := 0; i < len(fields); i += 2 { // what is in the table by now
			encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: literal})
		}
		blocks[1] = append([]byte(nil), out...)
		var answers [2][]byte
		for i, block := range blocks {
			out = out[:0]
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
			f.WriteData(1, true, []byte("hello"))
			answers[i] = append([]byte(nil), out...)
		}
		in := make([]byte, 64<<10)
		if _, err := io.ReadFull(c.Conn, in[:len(http2.ClientPreface)]); err != nil {
			return
		}
		have, known := 0, 0
		for {
			n, err := c.Conn.Read(in[have:])
			if err != nil {
				return
			}
			have += n
			at := 0
			for have-at >= 9 {
				size := frameSize(in[at:])
				if have-at < size {
					break
				}
				if in[at+3] == byte(http2.FrameHeaders) {
					answer := answers[known]
					known = 1
					head := frameSize(answer)
					id := binary.BigEndian.Uint32(in[at+5:])
					binary.BigEndian.PutUint32(answer[5:], id)
					binary.BigEndian.PutUint32(answer[head+5:], id)
					c.Conn.Write(answer)
				}
				at += size
			}
			have = copy(in, in[at:have])
		}
	})
}

type fixedWriter []byte

func (w *fixedWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// frameSize is the length of the frame at the front of b, its header included.
func frameSize(b []byte) int { return 9 + (int(b[0])<<16 | int(b[1])<<8 | int(b[2])) }

// TestSharedAllocations: requests on a shared connection allocate nothing in the steady state, whether the server's fields are in HPACK's
// table or come as literals. A request now and then finds its worker's free lists empty, and the process's other goroutines count too.
func TestSharedAllocations(t *testing.T) {
	const n, most = 5000, 1
	for _, literal := range []bool{false, true} {
		t.Run(fmt.Sprintf("literal=%v", literal), func(t *testing.T) {
			origin := cheapOrigin2(t, literal, ":status", "200", "content-type", "text/plain", "content-length", "5",
				"date", "Sun, 22 Nov 2026 22:30:00 GMT", "x-request", "0123456789abcdef")
			b := share(t, &origin2{addr: origin}, plot{})
			each := mallocs(t, b.addr, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n", n)
			t.Logf("%.3f allocations a request", each)
			if each > most && !raceEnabled && !*overTLS {
				t.Errorf("%.3f allocations a request", each)
			}
		})
	}
}
