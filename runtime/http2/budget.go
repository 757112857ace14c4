package http2

// budget is what a client may still do that is allowed and odd: one account for each connection, as HAProxy's glitch counter. What
// it gets back while it behaves keeps those within it that send such frames beside honest work: a gRPC client measures its bandwidth
// with a PING for data it gets, a reader opens windows as it reads, a browser cancels what it does not show.
type budget struct {
	spent int32
	at    int64 // until when spent has been made good by time
}

// What things cost and bring in. A client of nothing but resets is told to calm down after 166 of them, at once or within a second.
const (
	budgetMax    = 1000 // what may be spent at a time
	budgetSecond = 100  // comes back each second

	costReset   = 6 // a stream reset: by the client, or by us for what the client did (F58, F59)
	costRefused = 1 // a stream beyond the limit (F66)
	costControl = 1 // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown frames, data of no bytes (F61)
	costLate    = 1 // frames for streams that are closed
	costGoaway  = 10

	gainDone = 1 // a stream that was answered whole
	gainData = 2 // a DATA frame sent: it is acknowledged with two WINDOW_UPDATE frames, or measured with a PING
)

// spend takes n and says whether there was enough left.
func (b *budget) spend(n int32, now int64) bool {
	if seconds := now - b.at; seconds > 0 {
		back := seconds / (1e9 / budgetSecond)
		b.at += back * (1e9 / budgetSecond)
		b.spent = int32(max(0, int64(b.spent)-back))
	}
	b.spent += n
	return b.spent <= budgetMax
}

// gain gives n back.
func (b *budget) gain(n int32) { b.spent = max(0, b.spent-n) }
