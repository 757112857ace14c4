package wasmhost

import "edge/filters"

// Phase is what a call into a guest is about.
type Phase uint8

// The phases.
const (
	RequestHead Phase = iota
	RequestBody
	RequestTrailers
	ResponseHead
	ResponseBody
	ResponseTrailers
	CallDone   // the answer to a call-out
	Tick       // of the root context
	QueueReady // likewise
	Close      // a stream's end
	Start      // an instance's start; it is in no count of calls
	phases
)

// String is the phase as metrics and logs name it.
func (p Phase) String() string {
	return [...]string{"request_head", "request_body", "request_trailers", "response_head", "response_body", "response_trailers",
		"call_done", "tick", "queue_ready", "close", "start"}[p]
}

// headOf is the phase of a direction's head; its body's and its trailers' follow.
func headOf(d filters.Direction) Phase {
	if d == filters.Request {
		return RequestHead
	}
	return ResponseHead
}
