package files

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The oracle is net/http's ServeContent, asked with the same file, tag and fields.
func oracle(method, content, etag string, header []string) (status int, h http.Header, body string) {
	r := httptest.NewRequest(method, "/f.txt", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeContent(w, r, "f.txt", stamp, strings.NewReader(content))
	return w.Code, w.Result().Header, w.Body.String()
}

// accepted are the differences from net/http that we mean, each with the status we give instead.
var accepted = []struct {
	why    string
	holds  func(method, rng, ifRange string, theirs int) bool
	status int
}{
	{
		// RFC 9110 section 14.2: "a server MUST ignore a Range header field received with a request method that is
		// unrecognized or for which range handling is not defined"; it is defined for GET only.
		"net/http honours a range of HEAD",
		func(method, _, _ string, theirs int) bool {
			return method == "HEAD" && (theirs == 206 || theirs == 416)
		}, 200,
	},
	{
		// RFC 9110 section 14.2: an unknown unit MUST be ignored, a malformed value MAY be.
		"net/http answers a malformed range, or one in another unit, with 416",
		func(_, rng, _ string, theirs int) bool {
			switch rng {
			case "lines=0-1", "bytes=x", "bytes=5-4", "bytes=":
				return theirs == 416 || theirs == 200
			}
			return false
		}, 200,
	},
	{
		// Threat T44.
		"net/http answers several ranges in parts",
		func(_, rng, _ string, theirs int) bool { return strings.Count(rng, ",") > 0 && theirs == 206 }, 200,
	},
	{
		// RFC 9110 section 14.1.2: a suffix length of 0 cannot be satisfied.
		"net/http answers the last 0 bytes with 206 and a content-range that ends before it begins",
		func(_, rng, _ string, theirs int) bool { return rng == "bytes=-0" && theirs == 206 }, 416,
	},
}

func TestAgainstServeContent(t *testing.T) {
	root, content := digitsFile(t)
	a := mustOpen(t, Options{Root: root})
	first := ask(t, a, "GET", "/f.txt")
	etag := first.Header.Value("etag")
	const before, after = "Thu, 29 Feb 2024 12:34:55 GMT", "Thu, 29 Feb 2024 12:34:57 GMT"
	none := ""
	tags := []string{none, etag, "W/" + etag, `"other"`, `"other", ` + etag, "*"}
	dates := []string{none, lastModified, before, after, "Thursday, 29-Feb-24 12:34:56 GMT", "garbage"}
	ranges := []string{none, "bytes=0-9", "bytes=-5", "bytes=90-", "bytes=200-", "bytes=-0", "bytes=0-1,5-6", "lines=0-1", "bytes=x", "bytes=5-4", "bytes=", "bytes=0-999"}
	ifRanges := []string{none, etag, "W/" + etag, `"other"`, lastModified, after}

	compared, used := 0, make([]int, len(accepted))
	compare := func(method string, header []string, rng, ifRange string) {
		compared++
		status, h, body := oracle(method, content, etag, header)
		r := ask(t, a, method, "/f.txt", header...)
		name := fmt.Sprintf("%s %q", method, header)
		for i, d := range accepted {
			if r.Status != status && r.Status == d.status && d.holds(method, rng, ifRange, status) {
				used[i]++
				return
			}
		}
		if r.Status != status {
			t.Errorf("%s: %d, net/http %d", name, r.Status, status)
			return
		}
		if method == "GET" && status < 300 && r.body != body {
			t.Errorf("%s: body %q, net/http %q", name, r.body, body)
		}
		for _, field := range []string{"content-range", "content-type", "etag", "last-modified", "accept-ranges"} {
			ours, theirs := r.Header.Value(field), h.Get(field)
			switch {
			case ours == theirs:
			case status >= 400 && field != "content-range": // error pages: net/http's have a text, ours are left to the server
			case status == 304 && field == "last-modified": // RFC 9110 section 15.4.5: not needed beside an etag
			default:
				t.Errorf("%s: %s %q, net/http %q", name, field, ours, theirs)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, ifMatch := range tags {
			for _, ifNoneMatch := range tags {
				for _, modified := range dates {
					for _, unmodified := range dates {
						var header []string
						for _, f := range [][2]string{
							{"if-match", ifMatch}, {"if-none-match", ifNoneMatch}, {"if-modified-since", modified}, {"if-unmodified-since", unmodified},
						} {
							if f[1] != none {
								header = append(header, f[0], f[1])
							}
						}
						compare(method, header, none, none)
						compare(method, append(header[:len(header):len(header)], "range", "bytes=2-3"), "bytes=2-3", none)
					}
				}
			}
		}
		for _, rng := range ranges {
			for _, ifRange := range ifRanges {
				var header []string
				for _, f := range [][2]string{{"range", rng}, {"if-range", ifRange}} {
					if f[1] != none {
						header = append(header, f[0], f[1])
					}
				}
				compare(method, header, rng, ifRange)
			}
		}
	}
	if compared < 5000 {
		t.Errorf("only %d combinations compared", compared)
	}
	for i, n := range used {
		if n == 0 {
			t.Errorf("this difference is gone: %s", accepted[i].why)
		}
	}
}
