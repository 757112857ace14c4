package upstream

// Ahead is the account of what servers may send ahead of one client on shared connections: nothing but a server's windows stops it, and
// whoever takes nothing of a hundred answers is not to have a hundred windows full of memory. Every answer has a small window; what goes
// beyond that is given while there is some left, the first answers most. It belongs to whoever runs the client's connection. The zero
// value has given nothing; nil has no bound.
type Ahead struct{ given int } // bytes

const (
	StreamWindow = 256 << 10 // bytes of a response that a server may send ahead of its client, at most …
	firstWindow  = 20 << 10  // … and where its client has used up its account
	aheadBytes   = 512 << 10 // of all answers of a client together, beyond firstWindow each
	aheadLeast   = 16 << 10  // less is not worth a frame
)

// take is how many bytes more an answer may have, to be given back when it is over.
func (a *Ahead) take() (n int) {
	n = StreamWindow - firstWindow
	if a == nil {
		return n
	}
	if n = min(n, (aheadBytes-a.given)/2); n < aheadLeast {
		return 0
	}
	a.given += n
	return n
}

func (a *Ahead) give(n int) {
	if a != nil {
		a.given -= n
	}
}
