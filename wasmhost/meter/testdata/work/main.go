// Command work is the workloads of Go: each takes a seed and returns a checksum.
package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand"
	"regexp"
	"sort"
	"strings"
)

func main() {}

func sum(b []byte) uint32 {
	h := sha256.Sum256(b)
	return binary.LittleEndian.Uint32(h[:])
}

type record struct {
	ID    int               `json:"id"`
	Name  string            `json:"name"`
	Tags  []string          `json:"tags"`
	Attrs map[string]string `json:"attrs"`
}

func records(seed uint32, n int) []record {
	r := rand.New(rand.NewSource(int64(seed)))
	out := make([]record, n)
	for k := range out {
		out[k] = record{r.Intn(1e6), fmt.Sprintf("name-%d", r.Intn(100)), []string{"a", fmt.Sprint(r.Intn(10))},
			map[string]string{"x": fmt.Sprint(r.Float64()), "y": "z"}}
	}
	return out
}

//go:wasmexport json
func jsonRound(seed uint32) uint32 {
	b, err := json.Marshal(records(seed, 20))
	if err != nil {
		panic(err)
	}
	var back []record
	if err := json.Unmarshal(b, &back); err != nil {
		panic(err)
	}
	return sum(b) + uint32(len(back))
}

var path = regexp.MustCompile(`^/([a-z]+)-(\d+)/(?:x|y)?$`)

//go:wasmexport regexp
func match(seed uint32) uint32 {
	out := uint32(0)
	for k := range uint32(100) {
		if m := path.FindStringSubmatch(fmt.Sprintf("/name-%d/%s", seed+k, "xyz"[k%3:k%3+1])); m != nil {
			out = out*31 + uint32(len(m[1])) + uint32(m[2][0])
		}
	}
	return out
}

//go:wasmexport sort
func sorted(seed uint32) uint32 {
	r := records(seed, 200)
	sort.Slice(r, func(i, j int) bool { return r[i].Name < r[j].Name || r[i].Name == r[j].Name && r[i].ID < r[j].ID })
	return uint32(r[0].ID) ^ uint32(r[199].ID)<<8
}

//go:wasmexport sha
func hash(seed uint32) uint32 {
	b := bytes.Repeat(binary.LittleEndian.AppendUint32(nil, seed), 4096)
	return sum(b)
}

//go:wasmexport deflate
func deflate(seed uint32) uint32 {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	for _, r := range records(seed, 50) {
		fmt.Fprintf(w, "%d %s %v\n", r.ID, r.Name, r.Tags)
	}
	w.Close()
	return sum(b.Bytes())
}

//go:wasmexport words
func words(seed uint32) uint32 {
	text := strings.Repeat(fmt.Sprintf("the %d quick brown fox-%d ", seed, seed%7), 100)
	counts := map[string]int{}
	for _, w := range strings.Fields(strings.ToUpper(text)) {
		counts[strings.Trim(w, "-")]++
	}
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return sum([]byte(strings.Join(keys, ",")))
}
