package proxywasm

import (
	"edge/filters"
	"edge/filters/message"
)

// streamCalls continue and end streams. All are carried out when the callback has returned (see settle).
var streamCalls = map[string]hostCall{
	"proxy_continue_stream":     {params: "d", call: continueStream},
	"proxy_close_stream":        {params: "d", call: closeStream},
	"proxy_send_local_response": {params: "iananxni", call: sendLocalResponse},
}

// continueStream ends the pause of one direction. Where there is none that is no error.
func continueStream(i *Instance, a []uint64) status {
	if uint32(a[0]) > streamResponse {
		return i.refuse(badArgument)
	}
	return i.resume(filters.Direction(uint32(a[0])))
}

func (i *Instance) resume(d filters.Direction) status {
	s := i.active
	if s == nil {
		return i.refuse(badArgument)
	}
	i.touch(s).resume[d] = true
	return ok
}

// closeStream cuts the exchange off, whichever direction is named.
func closeStream(i *Instance, a []uint64) status {
	if i.active == nil || uint32(a[0]) > streamResponse {
		return i.refuse(badArgument)
	}
	i.touch(i.active).abort = true
	return ok
}

// sendLocalResponse answers the client. The second one of a callback replaces the first. A status outside 200…599, and a
// header that could not be sent, is badArgument; pseudo headers and framing fields in it are ignored. The gRPC status is
// sent as grpc-status where it is not -1.
func sendLocalResponse(i *Instance, a []uint64) status {
	s := i.active
	if s == nil {
		return i.refuse(badArgument)
	}
	details, fits := i.readString(a[1], a[2])
	body, fits2 := i.read(a[3], a[4])
	pairs, fits3 := i.read(a[5], a[6])
	if !fits || !fits2 || !fits3 {
		return i.refuse(invalidMemoryAccess)
	}
	list, valid := getPairs(i.scratch.pairs[:0], pairs)
	i.scratch.pairs = list[:0]
	code := uint32(a[0])
	if !valid || code < 200 || code > 599 || len(body) > filters.MaxReplyBody || size(list) > filters.MaxReplyHeader {
		return i.refuse(badArgument)
	}
	for _, p := range list {
		if len(p[0]) == 0 || p[0][0] != ':' && !message.ValidName(p[0]) || !message.ValidValue(trim(p[1])) {
			return i.refuse(badArgument)
		}
	}
	ask := i.touch(s)
	ask.reset()
	ask.respond = true
	ask.reply.Status = int(code)
	ask.reply.Details = ask.keep(details)
	for _, p := range list {
		if p[0][0] != ':' && !framing(p[0]) && !equalFold("host", p[0]) {
			ask.reply.Header = append(ask.reply.Header, [2]string{ask.keep(p[0]), ask.keep(trim(p[1]))})
		}
	}
	if grpc := uint32(a[7]); grpc <= 16 {
		ask.reply.Header = append(ask.reply.Header, [2]string{"grpc-status", grpcStatus[grpc]})
	}
	ask.reply.Body = append(ask.reply.Body[:0], body...)
	return ok
}

// grpcStatus are the gRPC status codes.
var grpcStatus = [...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"}

func size(pairs [][2]string) int {
	n := 0
	for _, p := range pairs {
		n += len(p[0]) + len(p[1]) + 4
	}
	return n
}
