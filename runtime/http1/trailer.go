package http1

import "edge/filters/message"

// parseTrailers reads a trailer section, the empty line included, into fields, without the names that may not be there.
func parseTrailers(b []byte, fields *message.Fields, limit int) fault {
	b = fields.Load(b)
	end := len(b) - 2
	count := 0
	for at := 0; at < end; {
		if count++; count > limit {
			return faultTooManyFields
		}
		name, value, next, f := fieldLine(b, at)
		if f != ok {
			return f
		}
		at = next
		if message.TrailerAllowed(name) {
			fields.AddView(name, value)
		}
	}
	return ok
}

// announcesFraming says whether a Trailer field announces framing, which some recipients refuse the whole message for.
func announcesFraming(list string) bool {
	for list != "" {
		var name string
		name, list = nextElement(list)
		if equalFold(name, "content-length") || equalFold(name, "transfer-encoding") || equalFold(name, "trailer") {
			return true
		}
	}
	return false
}
