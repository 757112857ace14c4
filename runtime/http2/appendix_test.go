package http2

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
)

// TestHPACKAppendix: the requests of RFC 7541 appendices C.3 and C.4, one after the other on one connection, whose blocks depend on what
// the ones before have put into the table; cut at every byte as well.
func TestHPACKAppendix(t *testing.T) {
	want := []string{
		"www.example.com / ",
		"www.example.com / cache-control: no-cache",
		"www.example.com /index.html custom-key: custom-value",
	}
	for name, blocks := range map[string][]string{
		"C.3": {
			"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			"8286 84be 5808 6e6f 2d63 6163 6865",
			"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
		},
		"C.4": {
			"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
			"8286 84be 5886 a8eb 1064 9cbf",
			"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
		},
	} {
		for _, piece := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s in pieces of %d", name, piece), func(t *testing.T) {
				r := newRig(t).greet()
				var got []string
				for i, text := range blocks {
					block, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
					if err != nil {
						t.Fatal(err)
					}
					r.WriteHeaders(h2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
					if err := r.feedIn(piece); err != nil {
						t.Fatal(err)
					}
					req := r.streams[len(r.streams)-1].Request
					var fields []string
					for j := range req.Header.Len() {
						fieldName, value := req.Header.At(j)
						fields = append(fields, fieldName+": "+value)
					}
					got = append(got, req.Authority+" "+req.Target+" "+strings.Join(fields, "; "))
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}
