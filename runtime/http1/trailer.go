package http1

import (
	"strings"

	"edge/filters/message"
)

// trailerForbidden are the names that mean something only before the body (RFC 9110 section 6.5.1): framing, routing,
// conditions, authentication, control of the response, and what says how to read the content (S17).
var trailerForbidden = func() map[string]bool {
	t := map[string]bool{}
	for name := range strings.FieldsSeq(`age allow authorization cache-control connection cookie date expect expires
		forwarded host http2-settings keep-alive location max-forwards origin pragma proxy-authenticate
		proxy-authorization proxy-connection range retry-after set-cookie te trailer transfer-encoding
		transfer_encoding upgrade vary via warning www-authenticate content_length`) {
		t[name] = true
	}
	return t
}()

// trailerAllowed says whether a lower-case name may stand in a trailer section.
func trailerAllowed(name string) bool {
	return !trailerForbidden[name] && !strings.HasPrefix(name, "content-") && !strings.HasPrefix(name, "if-") &&
		!strings.HasPrefix(name, "x-forwarded-") && !strings.HasPrefix(name, "x-real-")
}

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
		if trailerAllowed(name) {
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
