package http1

import (
	"strings"
	"testing"
)

// requestCase is bytes from a client and what they are read as. Line ends are written out; a want that ends without a
// newline is the whole of the refusal.
type requestCase struct{ name, in, want string }

const post = "POST /p HTTP/1.1\r\nHost: h\r\n"

func chunks(s string) string { return post + "Transfer-Encoding: chunked\r\n\r\n" + s }

func field(line string) string { return post + line + "\r\n\r\nhello" }

const chunkedHead = "POST /p h HTTP/1.1 -1\n"

// smuggling are the cases of group S: what two parsers could read in two ways, or once did.
var smuggling = []requestCase{
	{"S1 cl then te", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"400 content-length and transfer-encoding together"},
	{"S1 te then cl", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"400 content-length and transfer-encoding together"},
	{"S1 te and invalid cl", post + "Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n",
		"400 content-length and transfer-encoding together"},
	{"S2 cl.te with a request inside", post +
		"Content-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"400 content-length and transfer-encoding together"},
	{"S2 te.cl with a request inside", post +
		"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n27\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"400 content-length and transfer-encoding together"},
	{"S3 xchunked", field("Transfer-Encoding: xchunked"), "400 transfer-encoding is not chunked alone"},
	{"S3 identity", field("Transfer-Encoding: identity"), "400 transfer-encoding is not chunked alone"},
	{"S3 chunked, identity", field("Transfer-Encoding: chunked, identity"), "400 transfer-encoding is not chunked alone"},
	{"S3 gzip, chunked", field("Transfer-Encoding: gzip, chunked"), "400 transfer-encoding is not chunked alone"},
	{"S3 empty", field("Transfer-Encoding:"), "400 transfer-encoding is not chunked alone"},
	{"S4 two lines", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), "400 transfer-encoding is not chunked alone"},
	{"S4 two lines, one identity", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
		"400 transfer-encoding is not chunked alone"},
	{"S4 chunked, chunked", field("Transfer-Encoding: chunked, chunked"), "400 transfer-encoding is not chunked alone"},
	{"S4 empty element before", field("Transfer-Encoding: ,chunked"), "400 transfer-encoding is not chunked alone"},
	{"S4 empty element behind", field("Transfer-Encoding: chunked,"), "400 transfer-encoding is not chunked alone"},
	{"S5 vt", field("Transfer-Encoding: \vchunked"), "400 invalid byte in a field value"},
	{"S5 ff", field("Transfer-Encoding: chunked\f"), "400 invalid byte in a field value"},
	{"S5 nul", field("Transfer-Encoding: chunked\x00"), "400 invalid byte in a field value"},
	{"S5 tab inside", field("Transfer-Encoding: chun\tked"), "400 transfer-encoding is not chunked alone"},
	{"S5 quotes", field("Transfer-Encoding: \"chunked\""), "400 transfer-encoding is not chunked alone"},
	{"S5 parameter", field("Transfer-Encoding: chunked;a=b"), "400 transfer-encoding is not chunked alone"},
	{"S5 no-break space", field("Transfer-Encoding: \xa0chunked"), "400 transfer-encoding is not chunked alone"},
	{"S5 folded", field("Transfer-Encoding:\r\n chunked"), "400 folded or indented field line"},
	{"S6 space before the colon of te", field("Transfer-Encoding : chunked"), "400 no colon right after the field name"},
	{"S6 space before the colon of cl", field("Content-Length : 5"), "400 no colon right after the field name"},
	{"S6 tab before the colon", field("X-A\t: b"), "400 no colon right after the field name"},
	{"S6 no colon", field("X-A"), "400 no colon right after the field name"},
	{"S7 te in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 transfer-encoding in http/1.0"},
	{"S7 te in 1.0 kept alive", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"400 transfer-encoding in http/1.0"},
	{"S8 two lengths", field("Content-Length: 5\r\nContent-Length: 6"), "400 more than one content-length"},
	{"S8 one length twice", field("Content-Length: 5\r\nContent-Length: 5"), "400 more than one content-length"},
	{"S8 a list", field("Content-Length: 5, 5"), "400 invalid content-length"},
	{"S8 a list without space", field("Content-Length: 5,5"), "400 invalid content-length"},
	{"S9 plus", field("Content-Length: +5"), "400 invalid content-length"},
	{"S9 minus", field("Content-Length: -1"), "400 invalid content-length"},
	{"S9 minus zero", field("Content-Length: -0"), "400 invalid content-length"},
	{"S9 hexadecimal", field("Content-Length: 0x5"), "400 invalid content-length"},
	{"S9 underscore", field("Content-Length: 5_0"), "400 invalid content-length"},
	{"S9 quotes", field("Content-Length: \"5\""), "400 invalid content-length"},
	{"S9 a letter", field("Content-Length: 5a"), "400 invalid content-length"},
	{"S9 a fraction", field("Content-Length: 5.0"), "400 invalid content-length"},
	{"S9 a space inside", field("Content-Length: 5 0"), "400 invalid content-length"},
	{"S9 full-width digit", field("Content-Length: \xef\xbc\x95"), "400 invalid content-length"},
	{"S9 leading zeros", post + "Content-Length: 005\r\n\r\nhello", "POST /p h HTTP/1.1 5 content-length=\"5\"\ndata \"hello\"\nend\n"},
	{"S9 many zeros", post + "Content-Length: 0000000000000000000000000\r\n\r\n", "POST /p h HTTP/1.1 0 content-length=\"0\"\nend\n"},
	{"S10 2^63", field("Content-Length: 9223372036854775808"), "400 invalid content-length"},
	{"S10 2^64+5", field("Content-Length: 18446744073709551621"), "400 invalid content-length"},
	{"S10 40 digits", field("Content-Length: " + strings.Repeat("1", 40)), "400 invalid content-length"},
	{"S10 2^63-1 passes", post + "Content-Length: 9223372036854775807\r\n\r\n",
		"POST /p h HTTP/1.1 9223372036854775807 content-length=\"9223372036854775807\"\nwaits\n"},
	{"S10 19 nines", field("Content-Length: 9999999999999999999"), "400 invalid content-length"},
	{"S11 empty", field("Content-Length:"), "400 invalid content-length"},
	{"S11 blank", field("Content-Length:  \t "), "400 invalid content-length"},
	{"S11 empty and another", field("Content-Length:\r\nContent-Length: 5"), "400 invalid content-length"},
	{"S12 0x", chunks("0x5\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 plus", chunks("+5\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 minus", chunks("-1\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 underscore", chunks("5_0\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 space before", chunks(" 5\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 space behind", chunks("5 \r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 empty", chunks("\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 17 digits", chunks("00000000000000005\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 16 digits", chunks("0000000000000005\r\nhello\r\n0\r\n\r\n"), chunkedHead + "data \"hello\"\nend\n"},
	{"S12 2^63", chunks("8000000000000000\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 2^64-1", chunks("ffffffffffffffff\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S12 sum overflows", chunks("1\r\na\r\n7fffffffffffffff\r\n"), chunkedHead + "data \"a\"\n413 body too large\n"},
	{"S12 upper case digits", chunks("A\r\n0123456789\r\n0\r\n\r\n"), chunkedHead + "data \"0123456789\"\nend\n"},
	{"S13 lf", chunks("5\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S13 cr", chunks("5\rhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S13 cr and a byte", chunks("5\rX\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S13 cr cr lf", chunks("5\r\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S13 last chunk ended by lf", chunks("0\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S13 trailers ended by lf", chunks("0\r\n\n"), chunkedHead + "400 bare lf\n"},
	{"S14 data too long", chunks("5\r\nhelloXX0\r\n\r\n"), chunkedHead + "data \"hello\"\n400 chunk not followed by crlf\n"},
	{"S14 lf only", chunks("5\r\nhello\n0\r\n\r\n"), chunkedHead + "data \"hello\"\n400 chunk not followed by crlf\n"},
	{"S14 cr only", chunks("5\r\nhello\r0\r\n\r\n"), chunkedHead + "data \"hello\"\n400 chunk not followed by crlf\n"},
	{"S14 nothing", chunks("5\r\nhello0\r\n\r\n"), chunkedHead + "data \"hello\"\n400 chunk not followed by crlf\n"},
	{"S15 valid extensions", chunks("5;a;b=c ; d=\"e\\\"; \xe9\"\r\nhello\r\n0;x\r\n\r\n"), chunkedHead + "data \"hello\"\nend\n"},
	{"S15 blanks round signs", chunks("5;\ta = b ; c\r\nhello\r\n0\r\n\r\n"), chunkedHead + "data \"hello\"\nend\n"},
	{"S15 blank behind the size", chunks("5 ;a\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S15 bare semicolon", chunks("5;\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 not a token", chunks("5;a(=b\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 no value", chunks("5;a=\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 two names", chunks("5;a b\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 nul", chunks("5;a\x00\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 nul in quotes", chunks("5;a=\"\x00\"\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 lf inside", chunks("5;a\nxx\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 lf in quotes", chunks("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 crlf in quotes", chunks("5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 cr inside", chunks("5;a\rxx\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk size\n"},
	{"S15 token behind quotes", chunks("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S15 quotes not closed", chunks("5;a=\"b\r\nhello\r\n0\r\n\r\n"), chunkedHead + "400 invalid chunk extension\n"},
	{"S16 4096 bytes pass with data", chunks("1000;a=" + strings.Repeat("b", 4093) + "\r\n" + strings.Repeat("x", 4096) + "\r\n0\r\n\r\n"),
		chunkedHead + "data \"" + strings.Repeat("x", 4096) + "\"\nend\n"},
	{"S16 4097 bytes", chunks("1000;a=" + strings.Repeat("b", 4094) + "\r\n" + strings.Repeat("x", 4096) + "\r\n0\r\n\r\n"),
		chunkedHead + "400 too many chunk extensions\n"},
	{"S16 4097 bytes on the last chunk", chunks("0;a=" + strings.Repeat("b", 4094)), chunkedHead + "400 too many chunk extensions\n"},
	{"S16 in sum", chunks(strings.Repeat("400;"+strings.Repeat("e", 999)+"\r\n"+strings.Repeat("x", 1024)+"\r\n", 5) + "0\r\n\r\n"),
		chunkedHead + "data \"" + strings.Repeat("x", 4096) + "\"\n400 too many chunk extensions\n"},
	{"S16 outweighs the data", chunks(strings.Repeat("1;e="+strings.Repeat("e", 29)+"\r\nx\r\n", 100) + "0\r\n\r\n"),
		chunkedHead + "data \"" + strings.Repeat("x", 8) + "\"\n400 too many chunk extensions\n"},
	{"S17 forbidden trailers are dropped",
		chunks("0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: x\r\n" +
			"Content-Type: a/b\r\nContent_Length: 3\r\nX-Forwarded-For: 1.2.3.4\r\nIf-Match: *\r\nGrpc-Status: 0\r\n\r\n"), chunkedHead +
			"end grpc-status=\"0\"\n"},
	{"S17 announced framing is not passed on", post + "Trailer: Content-Length\r\n\r\n", "POST /p h HTTP/1.1 0\nend\n"},
	{"S17 announced sum is", post + "Trailer: X-Sum\r\n\r\n", "POST /p h HTTP/1.1 0 trailer=\"X-Sum\"\nend\n"},
	{"S17 invalid trailer", chunks("0\r\nX : y\r\n\r\n"), chunkedHead + "400 no colon right after the field name\n"},
	{"S17 folded trailer", chunks("0\r\nX: y\r\n z\r\n\r\n"), chunkedHead + "400 folded or indented field line\n"},
	{"S18 bare lf", "GET / HTTP/1.1\nHost: h\n\n", "400 bare lf"},
	{"S18 bare lf before the host", "GET / HTTP/1.1\nHost: h\r\n\r\n", "400 bare lf"},
	{"S18 bare lf in a field", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "400 bare lf"},
	{"S18 bare lf for the empty line", "GET / HTTP/1.1\r\nHost: h\r\n\n", "400 bare lf"},
	{"S18 bare lf first", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400 bare lf"},
	{"S19 bare cr in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", "400 bare cr"},
	{"S19 bare cr in the request line", "GET /\rx HTTP/1.1\r\nHost: h\r\n\r\n", "400 bare cr"},
	{"S19 cr and a byte behind the version", "GET / HTTP/1.1\rXHost: h\r\n\r\n", "400 bare cr"},
	{"S19 byte and lf behind the version", "GET / HTTP/1.1X\nHost: h\r\n\r\n", "400 bare lf"},
	{"S19 cr only", "GET / HTTP/1.1\rHost: h\r\r", "400 bare cr"},
	{"S19 cr cr lf", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", "400 bare cr"},
	{"S19 bare cr first", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "400 bare cr"},
	{"S20 space before the first field", "GET / HTTP/1.1\r\n X: y\r\nHost: h\r\n\r\n", "400 folded or indented field line"},
	{"S20 tab before the first field", "GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", "400 folded or indented field line"},
	{"S21 folded", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "400 folded or indented field line"},
	{"S21 folded by a tab", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n", "400 folded or indented field line"},
	{"S21 folded blank line", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n \r\n\r\n", "400 folded or indented field line"},
	{"S22 nul", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", "400 invalid byte in a field value"},
	{"S22 escape", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x1bb\r\n\r\n", "400 invalid byte in a field value"},
	{"S22 del", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7fb\r\n\r\n", "400 invalid byte in a field value"},
	{"S22 tab and obs-text pass", "GET / HTTP/1.1\r\nHost: h\r\nX: a\tb\xff\r\n\r\n", "GET / h HTTP/1.1 0 x=\"a\\tb\\xff\"\nend\n"},
	{"S23 empty name", "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", "400 invalid field name"},
	{"S23 parenthesis", "GET / HTTP/1.1\r\nHost: h\r\nX(: b\r\n\r\n", "400 invalid field name"},
	{"S23 utf-8", "GET / HTTP/1.1\r\nHost: h\r\nX-\xc3\xa9: b\r\n\r\n", "400 invalid field name"},
	{"S23 no-break space", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length\xa0: b\r\n\r\n", "400 invalid field name"},
	{"S23 nul", "GET / HTTP/1.1\r\nHost: h\r\nX\x00: b\r\n\r\n", "400 invalid field name"},
	{"S24 content_length", field("Content_Length: 5"), "400 underscore in a framing field name"},
	{"S24 transfer_encoding", field("TRANSFER_ENCODING: chunked"), "400 underscore in a framing field name"},
	{"S24 other underscores pass", "GET / HTTP/1.1\r\nHost: h\r\nX_A: b\r\n\r\n", "GET / h HTTP/1.1 0 x_a=\"b\"\nend\n"},
	{"S25 get with a length", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / h HTTP/1.1 5 content-length=\"5\"\ndata \"hello\"\nend\nGET /2 h HTTP/1.1 0\nend\n"},
	{"S25 head, chunked",
		"HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD / h HTTP/1.1 -1\ndata \"hello\"\nend\nGET /2 h HTTP/1.1 0\nend\n"},
	{"S25 options with a length", "OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
		"OPTIONS * h HTTP/1.1 1 content-length=\"1\"\ndata \"x\"\nend\n"},
	{"S27 expected", post + "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
		"POST /p h HTTP/1.1 5 expect content-length=\"5\"\nwaits\n"},
	{"S27 unknown expectation", field("Expect: 200-ok"), "417 unknown expectation"},
	{"S27 two expectations", field("Expect: 100-continue, x"), "417 unknown expectation"},
	{"S27 two lines", field("Expect: 100-continue\r\nExpect: 100-continue"), "417 unknown expectation"},
	{"S27 without content", post + "Expect: 100-continue\r\n\r\n", "POST /p h HTTP/1.1 0\nend\n"},
	{"S27 in 1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"POST /  HTTP/1.0 1 content-length=\"1\"\ndata \"x\"\nend\nclose\n"},
	{"S29 pause within the body", post + "Content-Length: 5\r\n\r\nhe", "POST /p h HTTP/1.1 5 content-length=\"5\"\ndata \"he\"\nwaits\n"},
	{"S29 pause within the head", "GET / HTTP/1.1\r\nHo", "waits\n"},
	{"S29 pause within a size line", chunks("5;a"), chunkedHead + "waits\n"},
	{"S30 valid, then invalid", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost : h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /1 h HTTP/1.1 0\nend\n400 no colon right after the field name\n"},
	{"S30 nothing is read behind a close", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /1 h HTTP/1.1 0\nend\nclose\n"},
	{"S31 0.9", "GET /\r\n\r\n", "400 invalid request line"},
	{"S31 0.9 with a space", "GET / \r\n\r\n", "400 invalid protocol version"},
	{"S31 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "505 unsupported protocol version"},
	{"S31 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 unsupported protocol version"},
	{"S31 lower case", "GET / http/1.1\r\nHost: h\r\n\r\n", "400 invalid protocol version"},
	{"S31 two digits", "GET / HTTP/1.32\r\nHost: h\r\n\r\n", "400 invalid protocol version"},
	{"S31 no minor", "GET / HTTP/1\r\nHost: h\r\n\r\n", "400 invalid protocol version"},
	{"S31 space behind", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "400 invalid protocol version"},
	{"S31 another protocol", "GET / ICAP/1.1\r\nHost: h\r\n\r\n", "400 invalid protocol version"},
	{"S31 shorter than a version", "GET / H\r\n\r\n", "400 invalid protocol version"},
}

func testRequests(t *testing.T, cases []requestCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if !strings.HasSuffix(want, "\n") {
				want += "\n"
			}
			got := sameInPieces(t, len(c.in), func(cut func(int) int) string {
				return traceRequests(t, c.in, &DefaultLimits, cut)
			})
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestSmuggling(t *testing.T) { testRequests(t, smuggling) }
