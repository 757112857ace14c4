package server

import "time"

// dateFormat is IMF-fixdate (RFC 9110 section 5.6.7).
const dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// date is the present second as the Date field writes it, made anew when the engine's clock has moved on by a tenth of one.
type date struct {
	madeAt int64 // on the engine's clock
	second int64
	text   string
}

func (d *date) at(now int64, calendar func() time.Time) string {
	if d.text == "" || now-d.madeAt >= int64(100*time.Millisecond) {
		d.madeAt = now
		t := calendar().UTC()
		if s := t.Unix(); s != d.second || d.text == "" {
			d.second, d.text = s, t.Format(dateFormat)
		}
	}
	return d.text
}
