package http2

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

var storyFiles = flag.String("hpack", "", "a `directory` of http2jp/hpack-test-case, whose stories TestHPACKCases reads")

// story is a sequence of header blocks on one connection, in the form of http2jp/hpack-test-case.
type story struct {
	Cases []struct {
		Wire    string              `json:"wire"`
		Headers []map[string]string `json:"headers"`
		Table   *int                `json:"header_table_size"`
	} `json:"cases"`
}

// readBlock has a session decode a block as it does one of a request, and returns the fields that have been handed to the section.
func readBlock(t testing.TB, r *rig, block []byte, cut int) (got []hpack.HeaderField, f fault) {
	t.Helper()
	c := &r.session
	if c.decoder == nil {
		c.decode(nil, false, nil, nil)
	}
	c.o.take = func(f hpack.HeaderField) {
		got = append(got, hpack.HeaderField{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)})
		c.o.read.field(f)
	}
	var rest bytes.Buffer
	if err := h2.NewFramer(&rest, nil).WriteContinuation(1, true, block[cut:]); err != nil {
		t.Fatal(err)
	}
	f = c.decode(nil, false, block[:cut], rest.Bytes())
	return got, f
}

// TestHPACKCases reads the stories of the encoders that others have collected, each cut in two somewhere by a CONTINUATION frame. The
// collection does not live here: go test ./runtime/http2 -run HPACKCases -hpack DIRECTORY.
func TestHPACKCases(t *testing.T) {
	if *storyFiles == "" {
		t.Skip("needs -hpack, a directory of http2jp/hpack-test-case")
	}
	paths, _ := filepath.Glob(filepath.Join(*storyFiles, "*", "story_*.json"))
	blocks, fields := 0, 0
	for _, path := range paths {
		if strings.Contains(path, "raw-data") {
			continue // lists without blocks
		}
		text, err := os.ReadFile(path)
		var s story
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil {
			t.Fatal(path, err)
		}
		r := newRig(t, func(l *Limits) { l.HeaderBytes = 1 << 20 }).greet()
		for i, c := range s.Cases {
			block, err := hex.DecodeString(c.Wire)
			if err != nil {
				t.Fatal(path, err)
			}
			if c.Table != nil && *c.Table > maxTableBytes {
				break // larger than the session allows its peers
			}
			got, f := readBlock(t, r, block, len(block)*i/len(s.Cases))
			var want []hpack.HeaderField
			for _, one := range c.Headers {
				for name, value := range one {
					want = append(want, hpack.HeaderField{Name: name, Value: value})
				}
			}
			if f != ok || !slices.Equal(got, want) {
				t.Fatalf("%s, case %d: fault %v, got %v, want %v", path, i, f, got, want)
			}
			blocks, fields = blocks+1, fields+len(got)
		}
	}
	if blocks == 0 {
		t.Fatal("there are no stories in ", *storyFiles)
	}
	t.Logf("%d files, %d blocks, %d fields", len(paths), blocks, fields)
}

// TestHPACKStories has the encoder of x/net write stories of its own: fields that come again and change, secrets, values that Huffman codes
// make longer, tables that shrink and grow between blocks.
func TestHPACKStories(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7541))
		var out bytes.Buffer
		encoder := hpack.NewEncoder(&out)
		r := newRig(t, func(l *Limits) { l.HeaderBytes, l.HeaderCount = 1<<20, 1000 }).greet()
		known := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: "cookie", Value: "a=b"}}
		for block := range 40 {
			out.Reset()
			if rnd.IntN(6) == 0 {
				encoder.SetMaxDynamicTableSize(uint32(rnd.IntN(maxTableBytes + 1)))
			}
			var want []hpack.HeaderField
			for range rnd.IntN(30) {
				f := known[rnd.IntN(len(known))]
				switch rnd.IntN(4) {
				case 0:
					f = hpack.HeaderField{Name: fmt.Sprintf("x-%d", rnd.IntN(50)), Value: anyText(rnd)}
					known = append(known, f)
				case 1:
					f.Value = anyText(rnd)
				}
				want = append(want, f)
				f.Sensitive = rnd.IntN(8) == 0
				if err := encoder.WriteField(f); err != nil {
					t.Fatal(err)
				}
			}
			got, f := readBlock(t, r, out.Bytes(), rnd.IntN(out.Len()+1))
			if f != ok || !slices.Equal(got, want) {
				t.Fatalf("seed %d, block %d: fault %v, got %v, want %v", seed, block, f, got, want)
			}
		}
	}
}

// anyText is some bytes: short and long, of those that codes make shorter and of those that they make longer.
func anyText(rnd *rand.Rand) string {
	b := make([]byte, rnd.IntN(1<<rnd.IntN(10)))
	most := 26
	if rnd.IntN(3) == 0 {
		most = 256
	}
	for i := range b {
		b[i] = byte('a' + rnd.IntN(most))
	}
	return string(b)
}

// TestHPACKWritten reads what the session writes with the decoder of x/net: every field of the static table by name, and values of all
// lengths around those where an integer takes another byte.
func TestHPACKWritten(t *testing.T) {
	var got []hpack.HeaderField
	decoder := hpack.NewDecoder(0, func(f hpack.HeaderField) { got = append(got, f) })
	names := []string{"x-other", strings.Repeat("n", 127), strings.Repeat("n", 128)}
	for name := range staticNames {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, n := range []int{0, 1, 126, 127, 128, 254, 255, 16510, 16511, 1 << 17} {
			value := strings.Repeat("v", n)
			got = got[:0]
			if _, err := decoder.Write(appendField(nil, name, value)); err != nil {
				t.Fatalf("%s of %d bytes: %v", name, n, err)
			}
			if len(got) != 1 || got[0].Name != name || got[0].Value != value {
				t.Fatalf("%s of %d bytes is read as %v", name, n, got)
			}
		}
	}
	for code := 100; code < 600; code++ {
		got = got[:0]
		if _, err := decoder.Write(appendField(nil, ":status", fmt.Sprint(code))); err != nil || len(got) != 1 || got[0].Value != fmt.Sprint(code) {
			t.Fatalf("status %d is read as %v, %v", code, got, err)
		}
	}
}
