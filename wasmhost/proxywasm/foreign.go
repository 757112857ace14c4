package proxywasm

import (
	"bytes"
	"compress/zlib"
	"io"
	"sync"
)

// foreignCalls call the host's own functions by name. The other way round there is nothing: proxy_on_foreign_function is
// never called, as no host function keeps a guest's callback.
var foreignCalls = map[string]hostCall{
	"proxy_call_foreign_function": {params: "ananON", call: callForeign},
}

// foreign are the host's functions, under the names and with the statuses that Envoy gives them: those that need no
// protocol buffers and reach nothing outside. They get a view of the guest's memory, and what they return may not be one.
var foreign = map[string]func(arguments []byte) ([]byte, status){
	"compress":          compress,
	"uncompress":        uncompress,
	"clear_route_cache": func([]byte) ([]byte, status) { return nil, ok },
}

// Bounds of foreign functions.
const (
	// MaxCompress is the most bytes that compress takes, MaxUncompressed the most that uncompress makes.
	MaxCompress     = 256 << 10
	MaxUncompressed = 1 << 20
)

// callForeign calls one. A name that is not there is notFound. An out pointer that is 0 is left alone, as the
// specification has the results be optional; where one of the two is, the results are not copied into the guest at all.
func callForeign(i *Instance, a []uint64) status {
	name, fits := i.readString(a[0], a[1])
	arguments, fits2 := i.read(a[2], a[3])
	wants := uint32(a[4]) != 0 && uint32(a[5]) != 0
	if !fits || !fits2 || !i.optional32(a[4]) || !i.optional32(a[5]) {
		return i.refuse(invalidMemoryAccess)
	}
	f := foreign[name]
	if f == nil {
		return notFound
	}
	results, s := f(arguments)
	i.copied(len(arguments) + len(results))
	if s != ok {
		return i.refuse(s)
	}
	if wants {
		return i.give(text(results), a[4], a[5])
	}
	if uint32(a[5]) != 0 {
		return i.write32(a[5], uint32(len(results)))
	}
	return ok
}

func (i *Instance) optional32(at uint64) bool { return uint32(at) == 0 || i.writable32(at) }

// compress makes zlib's format (RFC 1950), fast rather than small.
func compress(arguments []byte) ([]byte, status) {
	if len(arguments) > MaxCompress {
		return nil, badArgument
	}
	var out bytes.Buffer
	w := compressors.Get().(*zlib.Writer)
	defer compressors.Put(w)
	w.Reset(&out)
	if _, err := w.Write(arguments); err != nil {
		return nil, serializationFailure
	}
	if err := w.Close(); err != nil {
		return nil, serializationFailure
	}
	return out.Bytes(), ok
}

var compressors = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // its only error is a level out of range
	return w
}}

// uncompress undoes it.
func uncompress(arguments []byte) ([]byte, status) {
	r, err := zlib.NewReader(bytes.NewReader(arguments))
	if err != nil {
		return nil, serializationFailure
	}
	out, err := io.ReadAll(io.LimitReader(r, MaxUncompressed+1))
	switch {
	case err != nil:
		return nil, serializationFailure
	case len(out) > MaxUncompressed:
		return nil, badArgument
	}
	return out, ok
}
