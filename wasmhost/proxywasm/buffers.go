package proxywasm

import (
	"edge/filters"
	"edge/filters/message"
)

// bufferCalls are the host calls on buffers: bodies, configurations, the answer to a call.
var bufferCalls = map[string]hostCall{
	"proxy_get_buffer_bytes":  {params: "biiON", call: getBufferBytes},
	"proxy_set_buffer_bytes":  {params: "biian", call: setBufferBytes},
	"proxy_get_buffer_status": {params: "boo", call: getBufferStatus},
}

// body is the body a guest may change: shown by the callback under way, or held in a pause.
func (i *Instance) body(id uint64) *message.Body {
	var d filters.Direction
	switch uint32(id) {
	case bufferRequestBody:
		d = filters.Request
	case bufferResponseBody:
		d = filters.Response
	default:
		return nil
	}
	switch s := i.active; {
	case s == nil:
		return nil
	case s.held[d] != nil:
		return s.held[d]
	case s.paused[d] == onBody:
		return s.x.Held(d)
	}
	return nil
}

// buffer is what a buffer holds. One that is not there now is notFound: a body outside its callback, and always those of
// TCP and foreign functions. Another id is badArgument.
func (i *Instance) buffer(id uint64) (string, status) {
	switch uint32(id) {
	case bufferVMConfig:
		return text(i.plugin.VMConfig), ok
	case bufferPluginConfig:
		return text(i.plugin.Config), ok
	case bufferCallBody:
		if i.answer == nil {
			return "", notFound
		}
		return text(i.answer.Body), ok
	case bufferGRPCMessage:
		if !i.grpc.message {
			return "", notFound
		}
		return text(i.grpc.body), ok
	}
	if uint32(id) > lastBuffer {
		return "", i.refuse(badArgument)
	}
	if b := i.body(id); b != nil {
		return text(b.Bytes()), ok
	}
	return "", notFound
}

// getBufferBytes gives at most max bytes from start. Beyond the end there are none, which is no error (1.6-7).
func getBufferBytes(i *Instance, a []uint64) status {
	start, most := uint64(uint32(a[1])), uint64(uint32(a[2]))
	if start+most > 1<<32-1 {
		return i.refuse(badArgument)
	}
	b, s := i.buffer(a[0])
	if s != ok {
		return s
	}
	n := uint64(len(b))
	start = min(start, n)
	return i.give(b[start:min(start+most, n)], a[3], a[4])
}

// setBufferBytes puts bytes in the place of those from start on: with (0, 0) before all, with start at the end or past
// it behind all, with (0, all) instead of all, and anything between as well. A body over the filter's limit is refused.
func setBufferBytes(i *Instance, a []uint64) status {
	start, n := uint64(uint32(a[1])), uint64(uint32(a[2]))
	data, fits := i.read(a[3], a[4])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	b := i.body(a[0])
	if b == nil {
		if _, s := i.buffer(a[0]); s == notFound {
			return i.refuse(notFound)
		}
		return i.refuse(badArgument) // a configuration, an answer, or no buffer at all
	}
	start = min(start, uint64(b.Len()))
	n = min(n, uint64(b.Len())-start)
	if b.Len()-int(n)+len(data) > i.plugin.BodyLimit {
		return i.refuse(badArgument)
	}
	if n == 0 && int(start) == b.Len() {
		b.Append(data)
	} else {
		b.Replace(int(start), int(n), data)
	}
	return ok
}

// getBufferStatus gives a buffer's size; flags are always 0, as the specification gives them no meaning.
func getBufferStatus(i *Instance, a []uint64) status {
	if !i.writable32(a[1]) || !i.writable32(a[2]) {
		return i.refuse(invalidMemoryAccess)
	}
	b, s := i.buffer(a[0])
	if s != ok {
		return s
	}
	i.write32(a[1], uint32(len(b)))
	return i.write32(a[2], 0)
}
