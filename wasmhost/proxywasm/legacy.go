package proxywasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"edge/filters"
)

// legacyCalls are those of 0.1.0 that later versions left out, and what old toolchains import besides.
var legacyCalls = map[string]hostCall{
	"proxy_get_configuration": {params: "ON", call: getConfiguration},
	"proxy_continue_request":  {call: continueRequest},
	"proxy_continue_response": {call: continueResponse},

	// There is no route cache: a request's route is chosen before its filters run. The specification gives this call no
	// result, the C++ host one; guests declare either.
	"proxy_clear_route_cache": {call: accept, either: true},

	"emscripten_notify_memory_growth": {params: "i", call: accept, none: true},
	"pthread_equal":                   {params: "ii", call: pthreadEqual},

	// AssemblyScript's has parameters, Emscripten's none.
	"abort": {params: "iiii", call: abort, none: true, bare: true},
}

func getConfiguration(i *Instance, a []uint64) status {
	return i.give(text(i.plugin.Config), a[0], a[1])
}

func continueRequest(i *Instance, _ []uint64) status { return i.resume(filters.Request) }

func continueResponse(i *Instance, _ []uint64) status { return i.resume(filters.Response) }

func pthreadEqual(_ *Instance, a []uint64) status {
	if uint32(a[0]) == uint32(a[1]) {
		return 1
	}
	return 0
}

// ErrAbort says that a guest has called abort.
var ErrAbort = errors.New("the guest aborted")

// abort ends the call under way. AssemblyScript says why, and where in its source: message, file, line, column.
func abort(i *Instance, a []uint64) status {
	if len(a) == 4 {
		line := fmt.Sprintf("abort: %s at %s:%d:%d", i.utf16(a[0]), i.utf16(a[1]), uint32(a[2]), uint32(a[3]))
		i.log(filters.Critical, []byte(line))
	}
	panic(ErrAbort)
}

// maxAbortText is how much of an AssemblyScript string is shown, in 16-bit units.
const maxAbortText = 512

// utf16 is an AssemblyScript string: UTF-16, with its length in bytes in front of it. What cannot be read is "?".
func (i *Instance) utf16(at uint64) string {
	size, fits := i.Memory.ReadUint32Le(uint32(at) - 4)
	if uint32(at) < 4 || !fits {
		return "?"
	}
	b, fits := i.Memory.Read(uint32(at), min(size, 2*maxAbortText))
	if !fits {
		return "?"
	}
	units := make([]uint16, len(b)/2)
	for k := range units {
		units[k] = binary.LittleEndian.Uint16(b[2*k:])
	}
	return string(utf16.Decode(units))
}
