package proxywasm

// grpcCalls are the gRPC calls to upstreams.
//
// What a guest asks is checked as for a call that is made. There are no gRPC upstreams yet, so starting one is then
// parseFailure, the ABI's answer to an upstream that the host does not know; and as no call has begun, any id is notFound.
// The callbacks proxy_on_grpc_* are never made; their buffer and maps are never there.
var grpcCalls = map[string]hostCall{
	"proxy_grpc_call":   {params: "anananxnanio", call: grpcCall},
	"proxy_grpc_stream": {params: "anananxno", call: grpcStream},
	"proxy_grpc_send":   {params: "iani", call: grpcSend},
	"proxy_grpc_cancel": {params: "i", call: absent},
	"proxy_grpc_close":  {params: "i", call: absent},
}

// grpcCall has an upstream, a service, a method, initial metadata, a message, a timeout, and where the id goes.
func grpcCall(i *Instance, a []uint64) status {
	if _, fits := i.read(a[8], a[9]); !fits || !i.writable32(a[11]) {
		return i.refuse(invalidMemoryAccess)
	}
	return i.grpcTarget(a)
}

// grpcStream has the same without message and timeout.
func grpcStream(i *Instance, a []uint64) status {
	if !i.writable32(a[8]) {
		return i.refuse(invalidMemoryAccess)
	}
	return i.grpcTarget(a)
}

// grpcTarget checks what both begin with.
func (i *Instance) grpcTarget(a []uint64) status {
	_, fits := i.readString(a[0], a[1])
	_, fits2 := i.readString(a[2], a[3])
	_, fits3 := i.readString(a[4], a[5])
	metadata, fits4 := i.read(a[6], a[7])
	if !fits || !fits2 || !fits3 || !fits4 {
		return i.refuse(invalidMemoryAccess)
	}
	pairs, valid := getPairs(i.scratch.pairs[:0], metadata)
	i.scratch.pairs = pairs[:0]
	if !valid {
		return i.refuse(badArgument)
	}
	return i.refuse(parseFailure)
}

func grpcSend(i *Instance, a []uint64) status {
	if _, fits := i.read(a[1], a[2]); !fits {
		return i.refuse(invalidMemoryAccess)
	}
	return notFound
}
