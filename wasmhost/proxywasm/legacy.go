package proxywasm

import "edge/filters"

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
