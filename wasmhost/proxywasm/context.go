package proxywasm

// contextCalls are those on contexts and their ends.
var contextCalls = map[string]hostCall{
	"proxy_set_effective_context": {params: "i", call: setEffectiveContext},
	"proxy_done":                  {call: done},
	"proxy_get_status":            {params: "oON", call: getStatus},
}

// setEffectiveContext has the host calls that follow work on another context of this instance: the root context, the
// stream of the callback, or one that is paused. Any other, an ended one above all, is badArgument.
func setEffectiveContext(i *Instance, a []uint64) status {
	id := uint32(a[0])
	if id == rootID {
		i.active, i.chosen = nil, true
		return ok
	}
	s := i.streams.find(id)
	if s == nil || s != i.current && !s.Paused() {
		return badArgument
	}
	i.active, i.chosen = s, false
	return ok
}

// getStatus says how the call has ended that proxy_on_http_call_response is about: 0, or, where there is no answer, what Envoy
// says then; or that a callback of gRPC is about, in gRPC's codes once it has ended. Elsewhere it is 0.
func getStatus(i *Instance, a []uint64) status {
	if !i.writable32(a[0]) {
		return i.refuse(invalidMemoryAccess)
	}
	code, message := ok, ""
	switch {
	case i.unanswered:
		code, message = brokenConnection, "reset"
	case i.grpc.closed:
		code, message = status(i.grpc.code), i.grpc.text
	}
	if s := i.give(message, a[1], a[2]); s != ok {
		return s
	}
	return i.write32(a[0], uint32(code))
}
