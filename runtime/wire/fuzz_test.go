package wire

import (
	"io"
	"testing"
)

// FuzzHandshake: whatever a client sends, in whatever pieces, a server's handshake ends in an error or waits, and leaves nothing.
func FuzzHandshake(f *testing.F) {
	hello := clientHello(clientConfig())
	f.Add(hello, 5)
	f.Add(append(hello, hello...), 1000)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 1)
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), 3)
	config := serverConfig(0)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		h := new(Handshakes)
		var s Stream
		s.Server(config, h)
		c := new(chunk)
		for piece = max(1, piece&0xffff); len(data) > 0; {
			n := min(piece, len(data))
			c.got, data = data[:n], data[n:]
			done, waiting, err := s.Handshake(c, &woken{}, 1, scratch)
			if done || waiting {
				t.Fatal("a handshake is done without a client")
			}
			if err != nil {
				break
			}
			if len(c.got) > 0 {
				t.Fatalf("%d bytes are not read", len(c.got))
			}
		}
		c.got, c.end = nil, io.EOF
		if _, _, err := s.Handshake(c, &woken{}, 1, scratch); err == nil && s.tls.hello != nil {
			t.Error("the end is overlooked")
		}
		s.Reset()
		if got := h.Counts(); got.InProgress != 0 || got.Full != 0 {
			t.Errorf("%+v", got)
		}
	})
}
