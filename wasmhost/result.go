package wasmhost

// Result is how a call into a guest ended.
type Result uint8

// The results.
const (
	Continued Result = iota
	Paused
	Responded // the guest answered the exchange
	Aborted   // the guest cut the exchange off
	Waited    // the guest was busy, and nothing ran: the call is made again
	Faulted   // the call was ended by force
	Absent    // there was no instance to call, or the stream's had failed: the policy answered
	results
)

// String is the result as metrics and logs name it.
func (r Result) String() string {
	return [...]string{"continue", "pause", "respond", "abort", "wait", "fault", "absent"}[r]
}
