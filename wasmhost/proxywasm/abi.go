// Package proxywasm speaks Proxy-Wasm 0.1.0, 0.2.0 and 0.2.1 to a guest: it links a compiled module to the host calls,
// starts instances, makes the callbacks of a stream and carries out what the guest asked for.
//
// It knows neither lanes nor fault policy. Whoever calls an [Instance] must be its only caller at that moment, the
// holder of its lane; an error from a call means that the guest's state can no longer be trusted, and that the instance
// must be closed.
package proxywasm

// Version is a version of the ABI.
type Version uint8

// The versions, oldest first.
const (
	V0_1_0 Version = iota
	V0_2_0
	V0_2_1
)

// String is the version as the specification writes it.
func (v Version) String() string { return [...]string{"0.1.0", "0.2.0", "0.2.1"}[v] }

// versionMarkers are the exports by which a guest says which version it speaks. The newest wins.
var versionMarkers = [...]string{"proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"}

// status is what a host call returns (spec 0.2.1, proxy_status_t).
type status uint32

const (
	ok                   status = 0
	notFound             status = 1
	badArgument          status = 2
	serializationFailure status = 3
	parseFailure         status = 4
	invalidMemoryAccess  status = 6
	empty                status = 7
	casMismatch          status = 8
	internalFailure      status = 10
	brokenConnection     status = 11 // only as the status of a call that has failed
)

// What a callback returns (proxy_action_t), with what the C++ SDK returns beyond it.
const (
	actionContinue    = 0
	actionPause       = 1
	actionEndStream   = 2 // heads: go on; data: stop and watermark
	actionStopAll     = 3
	actionStopAllMark = 4
)

// The buffers (proxy_buffer_type_t).
const (
	bufferRequestBody  = 0
	bufferResponseBody = 1
	bufferCallBody     = 4
	bufferVMConfig     = 6
	bufferPluginConfig = 7

	bufferGRPCMessage      = 5
	bufferForeignArguments = 8 // never there
	lastBuffer             = bufferForeignArguments
)

// The header maps (proxy_map_type_t).
const (
	mapRequestHeaders   = 0
	mapRequestTrailers  = 1
	mapResponseHeaders  = 2
	mapResponseTrailers = 3
	mapGRPCInitial      = 4
	mapGRPCTrailing     = 5
	mapCallHeaders      = 6
	mapCallTrailers     = 7
	lastMap             = mapCallTrailers
)

// The streams of proxy_continue_stream and proxy_close_stream (proxy_stream_type_t).
const (
	streamRequest  = 0
	streamResponse = 1
)

// Bounds on what a guest may ask for.
const (
	// MaxMapBytes and MaxMapPairs bound a serialized header map from a guest, and a message's header after a change.
	MaxMapBytes = 1 << 20
	MaxMapPairs = 1024

	// MaxMutationBytes bounds the bytes that a guest writes into one stream's messages. A message keeps what it once
	// held until it ends, so a guest that replaces a header for ever would otherwise grow it without end.
	MaxMutationBytes = 1 << 20

	// MaxLogLine is the longest log line in bytes; the rest is cut off.
	MaxLogLine = 16 << 10

	// MaxLogLines is how many lines one callback may log; more are dropped and counted.
	MaxLogLines = 128

	// MaxHostCalls is how many host calls one callback may make; the guest is stopped at the next one (W98).
	MaxHostCalls = 100_000

	// MaxStreams is the number of streams alive in one instance.
	MaxStreams = 1 << 16

	// MaxRandom is the most random bytes of one random_get.
	MaxRandom = 64 << 10

	// MaxPropertyPath is the longest property path in bytes.
	MaxPropertyPath = 4 << 10
)

// rootID is the id of the root context, and the only one below firstStream.
const (
	rootID      = 1
	firstStream = 2
)
