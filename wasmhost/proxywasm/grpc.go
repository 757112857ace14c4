package proxywasm

// grpcCalls are the gRPC calls to upstreams.
//
// There are no gRPC upstreams yet: starting a call is parseFailure, the ABI's answer to an upstream it does not know,
// and any id is notFound.
var grpcCalls = map[string]hostCall{
	"proxy_grpc_call":   {params: "iiiiiiiiiiii", call: unknownService},
	"proxy_grpc_stream": {params: "iiiiiiiii", call: unknownService},
	"proxy_grpc_send":   {params: "iiii", call: absent},
	"proxy_grpc_cancel": {params: "i", call: absent},
	"proxy_grpc_close":  {params: "i", call: absent},
}

func unknownService(*Instance, []uint64) status { return parseFailure }
