// Package httpwasm speaks the http-wasm HTTP handler ABI to a guest: handle_request before the exchange goes on, and
// handle_response after it. It links a compiled module to the host functions, starts instances, and maps an exchange's
// callbacks to the two calls.
//
// The ABI is synchronous: read_body waits for the body. A guest therefore runs in a coroutine that the caller steps, and
// where it would wait it yields: the callback returns and a later one, with more of the body, goes on from there. No
// worker and no goroutine waits.
//
// It knows neither pools nor fault policy. An [Instance] serves one [Stream] at a time and belongs to whoever runs that
// stream's callbacks; an error from a call means that the guest's state can no longer be trusted, and that the instance
// must be discarded.
//
// What differs from a host that is a Go http.Handler:
//   - A request's body goes on to the upstream also where the guest has read it without buffer_request.
//   - The body waits in memory where the guest reads it or asks for trailers, and there only, up to Plugin.BodyLimit.
//   - Where the guest waits for a body in handle_request, the filters behind it see the head as it is then; what it changes
//     afterwards reaches the upstream all the same. In handle_response likewise.
//   - Trailers can be changed where the message has some; to a message without they cannot be added.
//   - A body cannot be given to a request that came without one.
package httpwasm

// hostModule is the module name of all host functions of the ABI.
const hostModule = "http_handler"

// The features of enable_features, bits of a set.
const (
	featureBufferRequest  = 1
	featureBufferResponse = 2
	featureTrailers       = 4

	allFeatures = featureBufferRequest | featureBufferResponse | featureTrailers
)

// The kinds of header map.
const (
	kindRequest = iota
	kindResponse
	kindRequestTrailers
	kindResponseTrailers
)

// The kinds of body.
const (
	bodyRequest = iota
	bodyResponse
)

// The levels of log.
const (
	logDebug = -1
	logInfo  = 0
	logWarn  = 1
	logError = 2
)

// Bounds on what a guest may ask for.
const (
	// MaxMutationBytes bounds the bytes of names and values that a guest writes into one exchange's messages.
	MaxMutationBytes = 1 << 20

	// MaxFields is how many field lines a guest may make of one message's header or trailers.
	MaxFields = 1024

	// MaxLogLine is the longest log line in bytes; the rest is cut off.
	MaxLogLine = 16 << 10

	// MaxLogLines is how many lines one call of the guest may log; more are dropped and counted.
	MaxLogLines = 128

	// MaxHostCalls is how many host functions one call of the guest may call; it is stopped at the next one (W98).
	MaxHostCalls = 100_000

	// MaxRandom is the most random bytes of one random_get.
	MaxRandom = 64 << 10

	// keepBytes is how much of a buffer a stream keeps for its next exchange.
	keepBytes = 16 << 10
)
