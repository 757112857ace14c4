// Package conformance holds the black-box suites: they build ./cmd/edge, start it, and speak to it over sockets. Nothing
// here imports the server's own code, so a mistake in it cannot hide behind itself.
//
// The folders:
//
//	proc     child processes, their logs and addresses; used by the suites and by the bench
//	rig      edge under test, a client that sends exact bytes, origins that see and say exact bytes
//	strict   an independent strict HTTP/1.1 parser (RFC 9112): what edge forwards is read again by it
//	http1    the HTTP/1.1 suite (MOTORZ T1) and the features of the actions
//	threats  groups S, T, U and R, one case per number, seen from the client and from the origin
//	engine   many connections: idle, slow, lingering, suspended; admission, descriptors, memory
//	bench    edge beside its peers: medians of interleaved runs
//	house    who imports whom, and how long files are; it reads the source, as manual does
//	manual   the manual against the source and the binary
//
// The suites need Go alone. A test that compares with nginx or node skips, naming the program, where it is absent.
package conformance
