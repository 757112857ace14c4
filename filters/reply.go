package filters

import "edge/filters/message"

// check says whether the reply can be sent.
func (r *Reply) check() error {
	if r.Status < 200 || r.Status > 599 || len(r.Body) > MaxReplyBody {
		return ErrBadReply
	}
	size := 0
	for _, h := range r.Header {
		size += len(h[0]) + len(h[1]) + 4
		if size > MaxReplyHeader || !message.ValidName(h[0]) || !message.ValidValue(h[1]) {
			return ErrBadReply
		}
	}
	return nil
}

// Check says whether the call is a request that can be sent: nil or ErrBadCall.
func (c *Call) Check() error {
	if !message.ValidName(c.Method) || !validTarget(c.Target) || !validAuthority(c.Authority) || !validFields(c.Header) ||
		!validFields(c.Trailer) || c.Kind != HTTPCall && c.Outbox == nil {
		return ErrBadCall
	}
	return nil
}

func validFields(list [][2]string) bool {
	for _, h := range list {
		if !message.ValidName(h[0]) || !message.ValidValue(h[1]) {
			return false
		}
	}
	return true
}

// reply is a copy of a Reply, in memory that is used again.
type reply struct {
	status  int
	header  message.Fields
	body    message.Body
	details string // a view of header's memory
	flag    Flag
}

func (r *reply) reset() {
	r.status, r.details, r.flag = 0, "", FlagNone
	r.header.Reset()
	r.body.Reset(keepBody)
}

func (r *reply) copy(from *Reply) {
	r.reset()
	r.status, r.flag = from.Status, from.Flag
	for _, h := range from.Header {
		r.header.Add(h[0], h[1])
	}
	withoutFraming(&r.header)
	r.body.Append(from.Body)
	r.details = r.header.Keep(from.Details)
}

// plain makes r one of the chain's own answers.
func (r *reply) plain(status int) {
	r.reset()
	r.status = status
	r.header.Add("content-type", "text/plain; charset=utf-8")
	text := "service unavailable\n"
	switch status {
	case 413:
		text = "the request's body is too large\n"
	case 502:
		text = "bad gateway\n"
	case 504:
		text = "gateway timeout\n"
	}
	r.body.Append([]byte(text))
}

// fill makes the response what r says.
func (r *reply) fill(to *message.Response) {
	to.Reset()
	to.Status = r.status
	to.Header.CopyFrom(&r.header)
	to.Length = int64(r.body.Len())
}
