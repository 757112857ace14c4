package http1

import "edge/filters/message"

// section is what one header or trailer section says beyond its ordinary fields. It lives on the stack of one parse.
type section struct {
	host          string
	length        int64 // content-length
	lengthText    string
	upgrade       string
	expect        string
	hosts         int
	lengths       int
	encodings     int
	expects       int
	badLength     bool
	badEncoding   bool
	optionLines   int
	optionCount   int
	badOptions    bool
	close         bool
	keepAlive     bool
	upgradeOption bool
	otherOptions  bool
	teTrailers    bool
	options       [maxConnectionLines]string
}

// parse reads the field lines of b, which ends with the empty line, into fields, and what concerns framing and the
// connection into s. b is memory that fields owns; names are lowered in place.
func (s *section) parse(b []byte, fields *message.Fields, limit int) fault {
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
		if f := s.field(name, value, fields); f != ok {
			return f
		}
	}
	if s.badOptions {
		return faultConnection
	}
	if s.otherOptions {
		s.removeNominated(fields)
	}
	return ok
}

// fieldLine cuts one line (RFC 9112 section 5): name, colon, value without the white space around it, CRLF.
func fieldLine(b []byte, at int) (name, value string, next int, f fault) {
	i := at
	for i < len(b) {
		c := lowerToken[b[i]]
		if c == 0 {
			break
		}
		b[i] = c
		i++
	}
	if i >= len(b) || b[i] != ':' || i == at {
		return "", "", 0, nameFault(b, at, i)
	}
	name = view(b[at:i])
	i++
	for i < len(b) && blank(b[i]) {
		i++
	}
	end := controlAt(b, i)
	if end+1 >= len(b) || b[end] != '\r' || b[end+1] != '\n' {
		return "", "", 0, faultFieldValue
	}
	next = end + 2
	for end > i && blank(b[end-1]) {
		end--
	}
	return name, view(b[i:end]), next, ok
}

// nameFault says what is wrong with a line whose name begins at start and stops at i.
func nameFault(b []byte, start, i int) fault {
	switch {
	case i == start && i < len(b) && blank(b[i]):
		return faultFieldFold // S20, S21
	case i > start && i < len(b) && (blank(b[i]) || b[i] == '\r'):
		return faultFieldColon // S6
	}
	return faultFieldName // S23
}

// field takes one line: into s where it belongs to this connection or to framing, into fields otherwise.
func (s *section) field(name, value string, fields *message.Fields) fault {
	switch name {
	case "host":
		s.hosts++
		s.host = value
		return ok
	case "content-length":
		s.lengths++
		n, digits, valid := message.ParseLength(value)
		if !valid {
			s.badLength = true
			return ok
		}
		s.length, s.lengthText = n, digits
		if s.lengths > 1 {
			return ok
		}
		fields.AddView(name, digits)
		return ok
	case "transfer-encoding":
		s.encodings++
		if !equalFold(value, "chunked") {
			s.badEncoding = true
		}
		return ok
	case "connection":
		if s.optionLines++; s.optionLines > maxConnectionLines {
			s.badOptions = true
			return ok
		}
		s.options[s.optionLines-1] = value
		s.readOptions(value)
		return ok
	case "te":
		if message.ListHasToken(value, "trailers") {
			s.teTrailers = true
		}
		return ok
	case "upgrade":
		if s.upgrade == "" {
			s.upgrade = firstProtocol(value)
		}
		return ok
	case "expect":
		s.expects++
		s.expect = value
		return ok
	case "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "http2-settings":
		return ok
	case "trailer":
		if announcesFraming(value) {
			return ok
		}
	case "content_length", "transfer_encoding":
		return faultFieldUnderscore // S24
	}
	fields.AddView(name, value)
	return ok
}

// framing is the body's length by the fields alone (RFC 9112 section 6.3): UnknownLength for chunked. declared is false
// where they say nothing.
func (s *section) framing(version message.Version) (length int64, declared bool, f fault) {
	switch {
	case s.encodings > 0 && s.lengths > 0:
		return 0, false, faultLengthAndEncoding // S1
	case s.encodings > 1 || s.badEncoding:
		return 0, false, faultEncoding // S3, S4, S5
	case s.encodings > 0 && version != message.HTTP11:
		return 0, false, faultEncodingVersion // S7
	case s.badLength:
		return 0, false, faultLengthInvalid
	case s.lengths > 1:
		return 0, false, faultLengthTwice
	case s.encodings > 0:
		return message.UnknownLength, true, ok
	case s.lengths > 0:
		return s.length, true, ok
	}
	return 0, false, ok
}
