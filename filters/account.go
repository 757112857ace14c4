package filters

// Because is for streams that are about to return Skip or Fail: it says why, in words, for the access log. limit says that
// a limit was hit (FL) rather than that the filter itself went wrong (FT).
func Because(x Exchange, limit bool, cause string) {
	if l, ok := x.(*link); ok {
		l.because, l.limit = cause, limit
	}
}

// ends are the flags in words.
var ends = [...]string{FlagSkipped: "skipped", FlagReplied: "replied", FlagFailed: "failed", FlagPaused: "expired",
	FlagBody: "body", FlagAborted: "aborted", FlagLimit: "limit"}

// AppendFilters appends the names of the filters that have taken part so far, in the route's order with commas between, each
// with what became of it after a colon, where there is something to say: paused (it has, and went on), or what ended its
// part: replied, failed, limit, expired (the pause, or the wait for a lane), body (too long), aborted, skipped. A filter
// that no callback was made of is not named, unless it was left out or failed before it could begin.
func (c *Chain) AppendFilters(to []byte) []byte {
	first := len(to)
	for i := range c.links {
		l := &c.links[i]
		if !l.seen && l.end == FlagNone {
			continue
		}
		if len(to) > first {
			to = append(to, ',')
		}
		to = append(to, l.filter.Name()...)
		switch {
		case l.end != FlagNone:
			to = append(append(to, ':'), ends[l.end]...)
		case l.rested:
			to = append(to, ":paused"...)
		}
	}
	return to
}
