package http1

import (
	"strings"

	"edge/filters/message"
)

// readOptions takes one Connection field (RFC 9110 section 7.6.1): a list of tokens.
func (s *section) readOptions(list string) {
	for list != "" {
		var option string
		option, list = nextElement(list)
		if option == "" {
			continue
		}
		if s.optionCount++; s.optionCount > maxOptions || !message.ValidName(option) {
			s.badOptions = true
			return
		}
		switch {
		case equalFold(option, "close"):
			s.close = true
		case equalFold(option, "keep-alive"):
			s.keepAlive = true
		case equalFold(option, "upgrade"):
			s.upgradeOption = true
		case equalFold(option, "te"):
		default:
			s.otherOptions = true
		}
	}
}

// nextElement cuts the first element off a comma-separated list.
func nextElement(list string) (element, rest string) {
	element = list
	if i := strings.IndexByte(list, ','); i >= 0 {
		element, rest = list[:i], list[i+1:]
	}
	for element != "" && blank(element[0]) {
		element = element[1:]
	}
	for element != "" && blank(element[len(element)-1]) {
		element = element[:len(element)-1]
	}
	return element, rest
}

// removeNominated deletes the fields that Connection names, but for those that [endToEnd] keeps (U86).
func (s *section) removeNominated(fields *message.Fields) {
	for _, list := range s.options[:min(s.optionLines, maxConnectionLines)] {
		for list != "" {
			var option string
			option, list = nextElement(list)
			for i := range fields.Len() {
				if name, _ := fields.At(i); equalFold(option, name) {
					if !endToEnd(name) {
						fields.Delete(name)
					}
					break
				}
			}
		}
	}
}

// endToEndPrefixes and endToEndNames are the fields that a Connection field cannot take off a message: their definitions
// make them end to end, or others rely on what they say of the client (RFC 9110 section 7.6.1; U86, CVE-2021-33197).
var endToEndPrefixes = []string{
	"accept", "access-control-", "cf-", "content-", "cross-origin-", "if-", "sec-", "x-forwarded-", "x-real-",
}

var endToEndNames = func() map[string]bool {
	t := map[string]bool{}
	for name := range strings.FieldsSeq(`age allow alt-svc authentication-info authorization baggage cache-control
		clear-site-data cookie date dnt early-data etag expect expires forwarded from host idempotency-key
		last-modified link location max-forwards origin pragma priority range referer retry-after server set-cookie
		strict-transport-security traceparent tracestate trailer true-client-ip upgrade-insecure-requests user-agent
		vary via warning www-authenticate x-client-ip x-cluster-client-ip x-correlation-id x-frame-options
		x-http-method-override x-original-host x-original-url x-request-id x-request-start x-rewrite-url
		x-trace-id x-xss-protection`) {
		t[name] = true
	}
	return t
}()

// endToEnd says whether a lower-case field name belongs to the message whatever Connection says.
func endToEnd(name string) bool {
	if endToEndNames[name] {
		return true
	}
	for _, p := range endToEndPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// firstProtocol is the first protocol an Upgrade field offers that edge can pass on (RFC 9110 section 7.8), or "". h2c
// is never passed on: behind it a client could speak to the origin past every filter (D55).
func firstProtocol(list string) string {
	for list != "" {
		var p string
		p, list = nextElement(list)
		if validProtocol(p) && !equalFold(p, "h2c") {
			return p
		}
	}
	return ""
}

// validProtocol says whether p is protocol-name ["/" protocol-version], both tokens.
func validProtocol(p string) bool {
	name, version, versioned := strings.Cut(p, "/")
	return message.ValidName(name) && (!versioned || message.ValidName(version))
}

// persistent says whether the connection may be used again after a message (RFC 9112 section 9.3).
func (s *section) persistent(version message.Version) bool {
	if s.close {
		return false
	}
	return version == message.HTTP11 || s.keepAlive
}
