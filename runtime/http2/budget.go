package http2

// budget is what a client may still do that is allowed and odd: one account for each connection, as HAProxy's glitch counter. What
// it gets back while it behaves keeps those within it that send such frames beside honest work: a gRPC client measures its bandwidth
// with a PING for data it gets, a reader opens windows as it reads, a browser cancels what it does not show.
type budget struct {
	spent   int32
	updates int32 // WINDOW_UPDATE frames that the data sent has made necessary
	solid   int32 // DATA frames received that were worth one, beyond the tiny ones they have paid for
	late    int32 // bytes for streams that are closed, since the last unit they cost
	at      int64 // until when spent has been made good by time
}

// What things cost and bring in. A client of nothing but resets is told to calm down after 166 of them, at once or within a second.
const (
	budgetMax    = 1000 // what may be spent at a time
	budgetSecond = 100  // comes back each second

	costReset   = 6 // a stream reset: by the client, or by us for what the client did (F58, F59)
	costRefused = 1 // a stream beyond the limit (F66)
	costControl = 1 // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown frames, data of no bytes (F61)
	costLate    = 1 // frames for streams that are closed
	costTiny    = 1 // a DATA frame of a few bytes that ends nothing, see tinyBytes (F61)
	costGoaway  = 10

	gainDone = 1 // a stream that was answered whole
	gainData = 1 // a DATA frame sent: it is measured with a PING

	gainUpdates = 10      // WINDOW_UPDATE frames that are free for a DATA frame sent: some clients open windows 4 KiB at a time
	updatesMax  = 1 << 20 // of those that are saved up

	tinyBytes = 5        // a DATA frame with fewer is tiny: no message of gRPC, and no frame of a WebSocket's client, is as short
	solidMax  = 1000     // tiny frames that others pay for ahead: each pays for one, some clients send the five bytes before a message alone
	lateBytes = 64 << 10 // bytes for a stream that we have reset that cost a unit: a client sends what its windows allow before it knows
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

// sent notes a DATA frame sent.
func (b *budget) sent() {
	b.gain(gainData)
	b.updates = min(b.updates+gainUpdates, updatesMax)
}

// updated is what a WINDOW_UPDATE frame costs.
func (b *budget) updated() int32 {
	if b.updates > 0 {
		b.updates--
		return 0
	}
	return costControl
}

// received notes a DATA frame of n bytes that ends nothing, and says what it costs.
func (b *budget) received(n int32) int32 {
	switch {
	case n >= tinyBytes:
		b.solid = min(b.solid+1, solidMax)
		return 0
	case b.solid > 0:
		b.solid--
		return 0
	}
	return costTiny
}

// wasted notes n bytes for a stream that is closed, and says what they cost.
func (b *budget) wasted(n int32) int32 {
	b.late += n
	cost := b.late / lateBytes * costLate
	b.late %= lateBytes
	return cost
}
