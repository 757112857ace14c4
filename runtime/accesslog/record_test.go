package accesslog

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func example() Record {
	return Record{
		Time:         time.Date(2026, time.October, 3, 4, 5, 6, 78_900_000, time.FixedZone("", 7200)),
		ConnectionID: 1<<63 + 5,
		RequestID:    "0af1", Route: "api", Listener: "127.0.0.1:8080",
		ClientIP: "192.0.2.7", RemoteIP: "10.0.0.1", RemotePort: 4321,
		Method: "GET", Scheme: "https", Host: "example.com", Path: "/a/b", Query: "x=1&y=2", Protocol: "HTTP/1.1",
		TLSVersion: "TLSv1.3", SNI: "example.com",
		Status: 200, RequestBytes: 5, ResponseBytes: 1234,
		Duration: 12345678 * time.Nanosecond, FirstByte: 999 * time.Nanosecond,
		Upstream: "127.0.0.1:9001", UpstreamStatus: 201, UpstreamDuration: 3 * time.Second, Retries: 1,
		UserAgent: "curl/8", Referer: "https://example.com/?q", Filters: "auth:paused,waf", Flags: "UH,UT", Details: "no server answered",
	}
}

func TestJSON(t *testing.T) {
	r := example()
	const want = `{"ts":"2026-10-03T02:05:06.078Z","connection_id":9223372036854775813,"request_id":"0af1","route":"api",` +
		`"listener":"127.0.0.1:8080","client_ip":"192.0.2.7","remote_ip":"10.0.0.1","remote_port":4321,"method":"GET",` +
		`"scheme":"https","host":"example.com","path":"/a/b","query":"x=1&y=2","protocol":"HTTP/1.1","tls_version":"TLSv1.3","sni":"example.com","status":200,` +
		`"request_bytes":5,"response_bytes":1234,"duration_ms":12.345,"ttfb_ms":0.000,"upstream":"127.0.0.1:9001",` +
		`"upstream_status":201,"upstream_duration_ms":3000.000,"retries":1,"user_agent":"curl/8",` +
		`"referer":"https://example.com/?q","filters":"auth:paused,waf","flags":"UH,UT","details":"no server answered"}` + "\n"
	if got := string(Append(nil, JSON, &r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var empty Record
	line := Append([]byte("kept"), JSON, &empty)
	var m map[string]any
	if err := json.Unmarshal(line[len("kept"):], &m); err != nil {
		t.Errorf("an empty record: %v: %s", err, line)
	}
	if _, ok := m["upstream"]; ok || m["status"] != 0.0 || m["ts"] != "0001-01-01T00:00:00.000Z" {
		t.Errorf("an empty record: %s", line)
	}
}

func TestApacheFormats(t *testing.T) {
	r := example()
	const common = `192.0.2.7 - - [03/Oct/2026:02:05:06 +0000] "GET /a/b?x=1&y=2 HTTP/1.1" 200 1234`
	if got := string(Append(nil, Common, &r)); got != common+"\n" {
		t.Errorf("got  %swant %s", got, common)
	}
	if got := string(Append(nil, Combined, &r)); got != common+` "https://example.com/?q" "curl/8"`+"\n" {
		t.Errorf("combined: %s", got)
	}
	empty := Record{Time: r.Time}
	if got, want := string(Append(nil, Combined, &empty)), `- - - [03/Oct/2026:02:05:06 +0000] "-" - - "-" "-"`+"\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	// What httpd 2.4 makes of these bytes in %{User-agent}i.
	r.UserAgent = "q\" b\\ \b\n\r\t\v\x00\x1b\x7f\xc3\xbc"
	if got, want := string(Append(nil, Combined, &r)), `"q\" b\\ \b\n\r\t\v\x00\x1b\x7f\xc3\xbc"`+"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s", got)
	}
}

// hostile are texts that must not leave their field (threat R80).
var hostile = []string{
	"a\r\n127.0.0.1 - - forged", "\x1b[31mred\x1b[0m", "nul\x00", "del\x7f", `quote " back \ slash`, "\u0085\u009b", "line\u2028sep\u2029",
	"bad\xff\xfe utf8 \xc3", "\xed\xa0\x80", "</script>", "ünïcödé 🎉", strings.Repeat("x", MaxText+10), strings.Repeat("\x00", MaxText+1),
	strings.Repeat("x", MaxText-1) + "ü",
}

// everyText sets every text of a record, so that a field that is added is tested too.
func everyText(r *Record, s string) (n int) {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			f.SetString(s)
			n++
		}
	}
	return n
}

func TestR80Injection(t *testing.T) {
	for _, s := range hostile {
		r := example()
		n := everyText(&r, s)
		for f, name := range []string{"json", "common", "combined"} {
			line := Append(nil, Format(f), &r)
			if len(line) > MaxLine {
				t.Errorf("%s, %.20q: a line of %d bytes", name, s, len(line))
			}
			if bytes.IndexByte(line, '\n') != len(line)-1 {
				t.Errorf("%s, %.20q: more than one line", name, s)
			}
			for _, c := range string(line[:len(line)-1]) {
				if c < 0x20 || c >= 0x7f && c < 0xa0 || c == utf8.RuneError {
					t.Errorf("%s, %.20q: %U stands unescaped", name, s, c)
					break
				}
			}
			if f == int(JSON) {
				checkJSON(t, line, s, n)
			}
		}
	}
}

// checkJSON says whether a line is one object in which every text is s, or the beginning of it.
func checkJSON(t *testing.T, line []byte, s string, texts int) {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Errorf("%.20q: %v", s, err)
		return
	}
	want := strings.ToValidUTF8(s, "\ufffd")
	found := 0
	for key, v := range m {
		got, ok := v.(string)
		if !ok || key == "ts" {
			continue
		}
		found++
		if len(s) > MaxText {
			if !strings.HasSuffix(got, "…") || len(got) > MaxText+len("…") {
				t.Errorf("%s: %d bytes", key, len(got))
			}
		} else if len(got) < len(want)-6 || got[:3] != want[:3] {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if found != texts {
		t.Errorf("%.20q: %d of %d texts logged", s, found, texts)
	}
}

func TestNoCredentials(t *testing.T) {
	r := example()
	r.Host = "user:password@example.com"
	r.Referer = "https://user:password@example.com/x"
	for f := range Combined + 1 {
		if line := string(Append(nil, f, &r)); strings.Contains(line, "password") {
			t.Errorf("format %d: %s", f, line)
		}
	}
	for url, want := range map[string]string{
		"https://a/b@c":       "https://a/b@c",
		"https://a?u=b@c":     "https://a?u=b@c",
		"//u@a/":              "",
		"/path":               "/path",
		"http://u:p@[::1]:80": "",
		"":                    "",
	} {
		if got := withoutUserURL(url); got != want {
			t.Errorf("%q: %q", url, got)
		}
	}
	for _, forbidden := range []string{"auth", "cookie", "user", "password", "token"} {
		typ := reflect.TypeFor[Record]()
		for i := range typ.NumField() {
			if name := strings.ToLower(typ.Field(i).Name); strings.Contains(name, forbidden) && name != "useragent" {
				t.Errorf("the record has a field %s", name)
			}
		}
	}
}

func TestParse(t *testing.T) {
	for name, want := range map[string]Format{"json": JSON, "common": Common, "combined": Combined} {
		if got, err := ParseFormat(name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is a format")
	}
	for _, want := range []Level{Trace, Debug, Info, Warn, Error} {
		if got, err := ParseLevel(want.String()); err != nil || got != want {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
	if _, err := ParseLevel("fatal"); err == nil {
		t.Error("fatal is a level")
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	r := example()
	buf := make([]byte, 0, 4096)
	for f := range Combined + 1 {
		if n := testing.AllocsPerRun(100, func() { buf = Append(buf[:0], f, &r) }); n != 0 {
			t.Errorf("format %d: %v allocations", f, n)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendQuoted(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var want string
		std, _ := json.Marshal(s)
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		if len(s) <= MaxText && got != want {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := example()
	for f, name := range []string{"json", "common", "combined"} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], Format(f), &r)
			}
		})
	}
}
