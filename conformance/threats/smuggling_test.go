package threats

import (
	"strings"
	"testing"

	"edge/conformance/rig"
)

var bad400 = []int{400}

func heads(name string, make func(string) string, values ...string) (all []refusal) {
	for _, v := range values {
		all = append(all, refusal{name: name + " " + visible(v), in: make(v), status: bad400})
	}
	return all
}

// visible is a value as a case's name can carry it.
func visible(v string) string {
	if len(v) > 40 {
		v = v[:40] + "…"
	}
	return strings.NewReplacer("\r", `\r`, "\n", `\n`, "\x00", `\0`, "\t", `\t`, "\v", `\v`, "\f", `\f`, "/", "_").Replace(v)
}

func te(v string) string {
	return post("Transfer-Encoding:"+v+"\r\n", "0\r\n\r\n"+smuggled)
}

func cl(v string) string { return post("Content-Length:"+v+"\r\n", "hello"+smuggled) }

func chunk(v string) string { return chunked(v + "\r\nhello\r\n0\r\n\r\n" + smuggled) }

// TestSmugglingHeads holds the threats S1 to S24 whose fault is in the head.
func TestSmugglingHeads(t *testing.T) {
	b := newBed(t, rig.Config{})
	refuse(t, b, []refusal{
		{name: "S1 content-length, then transfer-encoding", in: post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), status: bad400},
		{name: "S1 transfer-encoding, then content-length", in: post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), status: bad400},
		{name: "S2 CL.TE with a request behind", in: post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"+smuggled), status: bad400},
		{name: "S2 TE.CL with a request inside", in: post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "30\r\n"+smuggled+"\r\n0\r\n\r\n"), status: bad400},
		{name: "S4 two transfer-encoding lines", in: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), status: bad400},
		{name: "S4 two transfer-encoding lines, one identity", in: post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), status: bad400},
		{name: "S5 transfer-encoding in an obs-fold", in: post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), status: bad400},
		{name: "S6 space before the colon of transfer-encoding", in: post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), status: bad400},
		{name: "S6 space before the colon of content-length", in: post("Content-Length : 5\r\n", "hello"), status: bad400},
		{name: "S6 tab before the colon", in: post("Content-Length\t: 5\r\n", "hello"), status: bad400},
		{name: "S7 transfer-encoding in HTTP 1.0", in: head("POST /victim HTTP/1.0", "Host: a", "Transfer-Encoding: chunked") + "0\r\n\r\n" + smuggled, status: bad400},
		{name: "S8 two content-lengths, differing", in: post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), status: bad400},
		{name: "S8 two content-lengths, the same", in: post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), status: bad400},
		{name: "S11 empty content-length line", in: post("Content-Length:\r\n", smuggled), status: bad400},
		{name: "S11 empty content-length line before a good one", in: post("Content-Length:\r\nContent-Length: 5\r\n", "hello"), status: bad400},
		{name: "S18 request line ended by LF", in: "GET /victim HTTP/1.1\nHost: a\r\n\r\n", status: bad400},
		{name: "S18 field line ended by LF", in: "GET /victim HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", status: bad400},
		{name: "S18 head ended by LF", in: "GET /victim HTTP/1.1\r\nHost: a\r\n\n", status: bad400},
		{name: "S18 LF LF alone", in: "GET /victim HTTP/1.1\nHost: a\n\n", status: bad400},
		{name: "S19 CR in the request line", in: "GET /victim\r HTTP/1.1\r\nHost: a\r\n\r\n", status: bad400},
		{name: "S19 CR after the version", in: "GET /victim HTTP/1.1\r\r\nHost: a\r\n\r\n", status: bad400},
		{name: "S19 CR in a field name", in: get("X\rY: z\r\n"), status: bad400},
		{name: "S19 CR in a field value", in: get("X: y\rContent-Length: 5\r\n"), status: bad400},
		{name: "S19 CR CR LF at a line's end", in: get("X: y\r\r\n"), status: bad400},
		{name: "S20 space before the first field", in: head("GET /victim HTTP/1.1", " Host: a"), status: bad400},
		{name: "S20 tab before the first field", in: head("GET /victim HTTP/1.1", "\tX: y", "Host: a"), status: bad400},
		{name: "S21 obs-fold, space", in: get("X: y\r\n z\r\n"), status: bad400},
		{name: "S21 obs-fold, tab", in: get("X: y\r\n\tz\r\n"), status: bad400},
		{name: "S21 obs-fold that hides a length", in: post("X: y\r\n Content-Length: 5\r\n", "hello"), status: bad400},
		{name: "S22 NUL in a value", in: get("X: y\x00z\r\n"), status: bad400},
		{name: "S22 control character in a value", in: get("X: y\x01z\r\n"), status: bad400},
		{name: "S22 escape in a value", in: get("X: y\x1b[31m\r\n"), status: bad400},
		{name: "S22 DEL in a value", in: get("X: y\x7fz\r\n"), status: bad400},
		{name: "S23 empty field name", in: get(": y\r\n"), status: bad400},
		{name: "S23 field name with a space", in: get("X Y: z\r\n"), status: bad400},
		{name: "S23 field name in brackets", in: get("(X): z\r\n"), status: bad400},
		{name: "S23 field name in UTF-8", in: get("X\xc3\xa9: z\r\n"), status: bad400},
		{name: "S23 field name with a0", in: get("\xa0Content-Length: 5\r\n"), status: bad400},
		{name: "S23 field name with NUL", in: get("X\x00: y\r\n"), status: bad400},
		{name: "S23 no colon", in: get("X\r\n"), status: bad400},
		{name: "S31 HTTP 0.9", in: "GET /victim\r\n\r\n", status: []int{400, 505}},
		{name: "S31 HTTP 1.2", in: head("GET /victim HTTP/1.2", "Host: a"), status: []int{400, 505}},
		{name: "S31 HTTP 2.0 as text", in: head("GET /victim HTTP/2.0", "Host: a"), status: []int{400, 505}},
		{name: "S31 http in lower case", in: head("GET /victim http/1.1", "Host: a"), status: []int{400, 505}},
		{name: "S31 HTTP 1.32", in: head("GET /victim HTTP/1.32", "Host: a"), status: []int{400, 505}},
		{name: "S31 HTTP 01.1", in: head("GET /victim HTTP/01.1", "Host: a"), status: []int{400, 505}},
		{name: "S31 HTTP 1.", in: head("GET /victim HTTP/1.", "Host: a"), status: []int{400, 505}},
		{name: "S31 no version", in: head("GET /victim ", "Host: a"), status: []int{400, 505}},
		{name: "S31 two spaces", in: head("GET  /victim HTTP/1.1", "Host: a"), status: []int{400, 505}},
		{name: "S31 the HTTP 2 preface", in: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: []int{400, 505}},
	})
	refuse(t, b, heads("S3 coding", te, " xchunked", " identity", " chunked, identity", " gzip, chunked", " gzip", " chunked, gzip", " x", ""))
	refuse(t, b, heads("S4 coding", te, " chunked, chunked", " ,chunked", " chunked,", " chunked,,", ","))
	refuse(t, b, heads("S5 coding", te, " \vchunked", " chunked\v", " \fchunked", " chunked\x00", " chu\x00nked", " \"chunked\"", " 'chunked'",
		" chunked;q=1", " chunked ;a=b", " chunked chunked", " chunked\x7f", " \xa0chunked", " chunk\xe9d"))
	refuse(t, b, heads("S9 length", cl, " +5", " -1", " 0x5", " 5_0", " \"5\"", " 5a", " 5.0", " 5 5", " 5;a", " \xef\xbc\x95", " 5,5", " 5, 5", " 5,6", ",5", " ,5", " 5,"))
	huge := heads("S10 length", cl, " 9223372036854775808", " 18446744073709551621", " 4294967296999999999999999999999999999999", " 99999999999999999999")
	for i := range huge {
		huge[i].status = []int{400, 413}
	}
	refuse(t, b, huge)
	refuse(t, b, heads("S24 name", func(v string) string { return post(v+"\r\n", "hello") },
		"Content_Length: 5", "Transfer_Encoding: chunked", "content_length: 5"))
}

// TestSmugglingChunks holds the threats S12 to S17: the head is sound, the chunked body is not.
func TestSmugglingChunks(t *testing.T) {
	b := newBed(t, rig.Config{})
	var all []refusal
	all = append(all, heads("S12 chunk size", chunk, "0x5", "+5", "-1", "5_0", " 5", "5 ", "5\t", "", "g", "11111111111111111", "00000000000000005", "\"5\"", "5.0")...)
	all = append(all,
		refusal{name: "S13 chunk size ended by LF", in: chunked("5\nhello\r\n0\r\n\r\n")},
		refusal{name: "S13 chunk size ended by CR", in: chunked("5\rhello\r\n0\r\n\r\n")},
		refusal{name: "S13 chunk size ended by CR and X", in: chunked("5\rXhello\r\n0\r\n\r\n")},
		refusal{name: "S13 last chunk ended by LF", in: chunked("5\r\nhello\r\n0\n\r\n")},
		refusal{name: "S13 trailers ended by LF", in: chunked("5\r\nhello\r\n0\r\n\n")},
		refusal{name: "S14 chunk followed by XX", in: chunked("5\r\nhelloXX0\r\n\r\n")},
		refusal{name: "S14 chunk followed by LF", in: chunked("5\r\nhello\n0\r\n\r\n")},
		refusal{name: "S14 chunk longer than its size", in: chunked("5\r\nhello!\r\n0\r\n\r\n")},
		refusal{name: "S14 chunk followed by CR X", in: chunked("5\r\nhello\rX0\r\n\r\n")},
		refusal{name: "S15 extension with a bare semicolon", in: chunked("5;\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension with no name", in: chunked("5;=b\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension with a bad token", in: chunked("5;a@b\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension with NUL", in: chunked("5;a=\x00\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension with LF", in: chunked("5;a\n=b\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension ended by LF", in: chunked("5;a=b\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension with CR", in: chunked("5;a=\rb\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S15 extension with an open quote", in: chunked("5;a=\"b\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S16 extensions of 5 KB", in: chunked("5;a=" + strings.Repeat("x", 5<<10) + "\r\nhello\r\n0\r\n\r\n")},
		refusal{name: "S16 extensions on every byte", in: chunked(strings.Repeat("1;a="+strings.Repeat("x", 100)+"\r\nx\r\n", 200) + "0\r\n\r\n")},
		refusal{name: "S17 trailer with a bad name", in: chunked("5\r\nhello\r\n0\r\nX Y: z\r\n\r\n")},
		refusal{name: "S17 trailer with NUL", in: chunked("5\r\nhello\r\n0\r\nX: \x00\r\n\r\n")},
		refusal{name: "S17 trailer with obs-fold", in: chunked("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n")},
		refusal{name: "S17 trailer of 100 KB", in: chunked("5\r\nhello\r\n0\r\nX: " + strings.Repeat("y", 100<<10) + "\r\n\r\n")},
	)
	for i := range all {
		all[i].begun = true
		all[i].status = bad400
		if strings.Contains(all[i].name, "100 KB") {
			all[i].status = []int{400, 431}
		}
	}
	refuse(t, b, all)
}

// TestForwardedSound holds the cases of S that are sound or made sound: what the origin sees is exactly one request each.
func TestForwardedSound(t *testing.T) {
	b := newBed(t, rig.Config{})
	for _, c := range []struct {
		name, in, body string
		trailer        []string // names the origin may see
	}{
		{name: "S9 leading zeros", in: post("Content-Length: 005\r\n", "hello"), body: "hello"},
		{name: "S9 length in white space", in: post("Content-Length: \t 5 \t\r\n", "hello"), body: "hello"},
		{name: "S5 chunked in white space and case", in: post("Transfer-Encoding: \tChUnKeD \r\n", "5\r\nhello\r\n0\r\n\r\n"), body: "hello"},
		{name: "S12 size in capitals with zeros", in: chunked("000A\r\n0123456789\r\n0\r\n\r\n"), body: "0123456789"},
		{name: "S15 extensions are not forwarded", in: chunked("5;a=b;c;d=\"e;f\"\r\nhello\r\n0;x\r\n\r\n"), body: "hello"},
		{name: "S17 framing fields in trailers are dropped", in: chunked("5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: evil\r\nAuthorization: x\r\nContent-Type: x\r\nX-Sum: 1\r\n\r\n"), body: "hello", trailer: []string{"x-sum"}},
		{name: "S25 GET with a length", in: "GET /victim HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", body: "hello"},
		{name: "S25 GET with a chunked body", in: "GET /victim HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body: "hello"},
		{name: "S25 OPTIONS with a body", in: "OPTIONS /victim HTTP/1.1\r\nHost: a\r\nContent-Length: 43\r\n\r\n" + smuggled, body: smuggled},
		{name: "S25 DELETE with a body", in: "DELETE /victim HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", body: "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(b.seen())
			k := rig.Dial(t, b.Addr)
			// A second request follows at once: it must be the origin's second, whatever the first was.
			k.Send(c.in + get("Connection: close\r\n"))
			first, second := k.Response("POST"), k.Response("GET")
			k.Closed()
			if first.Status != 200 || !strings.HasSuffix(string(first.Body), " /victim "+c.body) {
				t.Errorf("first answer is %d %q", first.Status, first.Body)
			}
			if second.Status != 200 || string(second.Body) != "GET /victim " {
				t.Errorf("second answer is %d %q", second.Status, second.Body)
			}
			got := b.seen()[before:]
			if len(got) != 2 {
				t.Fatalf("the origin saw %d requests, want 2: %.900q", len(got), b.origin.Received())
			}
			q := got[0]
			if string(q.Body) != c.body || len(got[1].Body) != 0 {
				t.Errorf("the origin saw bodies %q and %q, want %q and none", got[0].Body, got[1].Body, c.body)
			}
			var names []string
			for _, f := range q.Trailer {
				names = append(names, strings.ToLower(f.Name))
			}
			if strings.Join(names, " ") != strings.Join(c.trailer, " ") {
				t.Errorf("the origin saw trailers %v, want %v", names, c.trailer)
			}
		})
	}
}
