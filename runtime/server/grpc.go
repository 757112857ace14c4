package server

import (
	"strconv"
	"strings"

	"edge/filters/message"
	"edge/runtime/http2"
	"edge/runtime/upstream"
)

// gRPC goes through as any HTTP/2 does: bodies and trailers, both ways at once. What it needs beside that is here: an error of edge's own
// is told in its terms, since its clients read no other, and its deadline holds.

// Codes of gRPC that edge itself says.
const (
	grpcCancelled        = 1
	grpcUnknown          = 2
	grpcDeadlineExceeded = 4
	grpcPermissionDenied = 7
	grpcExhausted        = 8
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// grpcMessageBytes bounds grpc-message, before it is encoded.
const grpcMessageBytes = 1 << 10

// grpcCode is what a status means in gRPC (its "HTTP to gRPC Status Code Mapping"), and of its own 413 and 431.
func grpcCode(status int) int {
	switch status {
	case 400:
		return grpcInternal
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 404:
		return grpcUnimplemented
	case 413, 431:
		return grpcExhausted
	case 429, 502, 503, 504:
		return grpcUnavailable
	}
	return grpcUnknown
}

// grpcOfCause is what it means in gRPC that an upstream has not answered.
func grpcOfCause(c upstream.Cause) int {
	switch c {
	case upstream.BadResponse, upstream.BadRequest:
		return grpcInternal
	}
	return grpcUnavailable
}

// grpcOfReset is what a RST_STREAM of a server's means in gRPC (PROTOCOL-HTTP2, "Errors"; codes of RFC 9113 section 7).
func grpcOfReset(code http2.Code) int {
	switch code {
	case http2.ErrCancel:
		return grpcCancelled
	case http2.ErrRefused:
		return grpcUnavailable
	case http2.ErrCalm:
		return grpcExhausted
	case http2.ErrSecurity:
		return grpcPermissionDenied
	case http2.ErrClosed, http2.ErrHTTP1:
		return grpcUnknown
	}
	return grpcInternal
}

// grpcStatus reads the grpc-status of trailers; said is false where there is none, or it is no number.
func grpcStatus(f *message.Fields) (code int, said bool) {
	n, err := strconv.ParseUint(f.Value("grpc-status"), 10, 31)
	return int(n), err == nil
}

// findGRPC looks whether the request is gRPC's, and until when its client waits.
func (x *exchange) findGRPC() {
	x.dueAt, x.resetAs = 0, 0
	if x.req.Method != "POST" || !x.req.Header.GRPC() {
		return
	}
	x.flags |= flagGRPC
	if d, ok := grpcTimeout(x.req.Header.Value("grpc-timeout")); ok {
		x.dueAt = x.conn.t.Now + d
	}
}

// grpcUnits are nanoseconds by the letter that grpc-timeout ends with.
var grpcUnits = map[byte]int64{'H': 3600e9, 'M': 60e9, 'S': 1e9, 'm': 1e6, 'u': 1e3, 'n': 1}

// grpcTimeout reads a grpc-timeout: at most eight digits and a unit. What is not valid bounds nothing.
func grpcTimeout(value string) (nanoseconds int64, ok bool) {
	if len(value) < 2 || len(value) > 9 {
		return 0, false
	}
	digits, unit := value[:len(value)-1], grpcUnits[value[len(value)-1]]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || unit == 0 || n > 1<<62/uint64(unit) {
		return 0, false
	}
	return int64(n) * unit, true
}

// expireGRPC ends an exchange whose client waits no longer.
func (x *exchange) expireGRPC() {
	if x.dueAt == 0 || x.conn.t.Now < x.dueAt || x.is(flagDone|flagAborted) {
		return
	}
	x.dueAt = 0
	x.flags |= flagOverdue
	x.answer(504, "UT", "grpc-timeout passed")
}

// grpcHead has a response of edge's own, or of a filter's, say in a gRPC client's terms what its status and its body say. It returns
// false where it does already.
func (x *exchange) grpcHead() bool {
	h := &x.resp.Header
	if h.GRPC() {
		return false
	}
	code := grpcCode(x.resp.Status)
	if n, err := strconv.Atoi(h.Value("grpc-status")); err == nil {
		code = n
	}
	text := strings.TrimSpace(string(x.chain.AnswerBody()))
	switch {
	case x.is(flagOverdue):
		code, text = grpcDeadlineExceeded, "deadline exceeded"
	case x.resetAs != 0 && x.resp.Status == 502:
		code = x.resetAs
	}
	h.DeleteFunc(func(name, _ string) bool { return strings.HasPrefix(name, "content-") })
	x.resp.Status, x.resp.Length, x.resp.Bodiless = 200, message.UnknownLength, false
	h.Set("content-type", "application/grpc")
	h.Set("grpc-status", strconv.Itoa(code))
	if !h.Has("grpc-message") {
		h.Set("grpc-message", grpcMessage(text))
	}
	return true
}

// grpcCut ends a gRPC response that has begun and cannot be completed with the trailers that say so, where that is possible.
func (x *exchange) grpcCut(status int, flag, cause string) bool {
	if !x.is(flagGRPC) || !x.is(flagHeaded) || x.is(flagDone|flagAborted) || x.req.Version != message.HTTP2 ||
		x.resp.Status != 200 || x.resp.Length >= 0 {
		return false
	}
	x.fail(flag, cause)
	x.Cancel()
	code, text := grpcCode(status), cause
	switch {
	case x.is(flagOverdue):
		code, text = grpcDeadlineExceeded, "deadline exceeded"
	case x.resetAs != 0:
		code = x.resetAs
	}
	var f message.Fields
	f.Add("grpc-status", strconv.Itoa(code))
	f.Add("grpc-message", grpcMessage(text))
	x.to.trailers(&f)
	x.flags |= flagDone
	return true
}

// grpcMessage encodes a message as gRPC's "Percent-Encoded" has it.
func grpcMessage(text string) string {
	const hex = "0123456789ABCDEF"
	text = text[:min(len(text), grpcMessageBytes)]
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			out = append(out, '%', hex[c>>4], hex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// grpcText decodes a grpc-message. What is not encoded rightly stays as it is.
func grpcText(encoded string) string {
	if !strings.Contains(encoded, "%") {
		return encoded
	}
	out := make([]byte, 0, len(encoded))
	for i := 0; i < len(encoded); i++ {
		if encoded[i] == '%' && i+2 < len(encoded) {
			if n, err := strconv.ParseUint(encoded[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, encoded[i])
	}
	return string(out)
}
