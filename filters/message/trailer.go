package message

import "strings"

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

// TrailerAllowed says whether a lower-case name may stand in a trailer section.
func TrailerAllowed(name string) bool {
	return !trailerForbidden[name] && !strings.HasPrefix(name, "content-") && !strings.HasPrefix(name, "if-") &&
		!strings.HasPrefix(name, "x-forwarded-") && !strings.HasPrefix(name, "x-real-")
}
