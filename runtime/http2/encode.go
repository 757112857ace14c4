package http2

import "strings"

// Header blocks are written without a dynamic table and without Huffman codes, as HAProxy does: no state for each connection, the
// same bytes whoever reads them, blocks that can be made before their turn comes, and a fraction of the time. What it costs is some
// dozens of bytes a response.

// staticNames are the indices of RFC 7541 appendix A by name.
var staticNames = func() map[string]uint8 {
	t := map[string]uint8{":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, ":status": 8}
	i := uint8(15)
	for name := range strings.FieldsSeq(`accept-charset accept-encoding accept-language accept-ranges accept
		access-control-allow-origin age allow authorization cache-control content-disposition content-encoding content-language
		content-length content-location content-range content-type cookie date etag expect expires from host if-match
		if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards
		proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie
		strict-transport-security transfer-encoding user-agent vary via www-authenticate`) {
		t[name] = i
		i++
	}
	return t
}()

// staticStatus is the index of a whole field in that table, or 0.
func staticStatus(value string) byte {
	switch value {
	case "200":
		return 8
	case "204":
		return 9
	case "206":
		return 10
	case "304":
		return 11
	case "400":
		return 12
	case "404":
		return 13
	case "500":
		return 14
	}
	return 0
}

// appendField appends a field: indexed where the static table has it, else a literal without indexing (RFC 7541 section 6.2.2), or
// never indexed where intermediaries must not remember it (section 7.1.3).
func appendField(dst []byte, name, value string) []byte {
	if name == ":status" {
		if i := staticStatus(value); i != 0 {
			return append(dst, 0x80|i)
		}
	}
	kind := byte(0)
	switch name {
	case "set-cookie", "authorization", "cookie", "proxy-authorization":
		kind = 0x10
	}
	if i, known := staticNames[name]; known {
		dst = appendInteger(dst, kind, 4, int(i))
	} else {
		dst = append(dst, kind)
		dst = appendInteger(dst, 0, 7, len(name))
		dst = append(dst, name...)
	}
	dst = appendInteger(dst, 0, 7, len(value))
	return append(dst, value...)
}

// appendInteger appends an integer with a prefix of so many bits, in the byte that begins with first (section 5.1).
func appendInteger(dst []byte, first byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// tableOff is a dynamic table size update to nothing (section 6.3).
const tableOff = 0x20
