package wasmhost

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
)

// unavailable is what a client gets where the policy answers.
const unavailable = "503 content-type=text/plain; charset=utf-8 service unavailable\n"

// site is both ends of a chain around an http-wasm guest: what a connection and an upstream would be.
type site struct {
	t     *testing.T
	chain filters.Chain
	req   message.Request
	resp  message.Response
	now   int64
	woken int
	lines []string

	asked, answered bool // the head has come to the upstream, or to the client
	sent, got       []byte
	sentEnd, gotEnd bool
	sentTrailer     string
	gotTrailer      string
	aborted         bool
	head            string // the request's head as the upstream got it
	length          int64  // of the request's body, as it was declared to the upstream
}

func (s *site) Wake()                                      { s.woken++ }
func (s *site) Now() int64                                 { return s.now }
func (s *site) Call(int, *filters.Call) (uint32, error)    { return 0, filters.ErrNoUpstream }
func (s *site) CancelCalls(int)                            {}
func (s *site) Log(_ string, _ filters.Level, text string) { s.lines = append(s.lines, text) }
func (s *site) RequestBody(p []byte, end bool)             { s.sent, s.sentEnd = append(s.sent, p...), end }
func (s *site) RequestTrailers()                           { s.sentEnd, s.sentTrailer = true, lines(&s.req.Trailer) }
func (s *site) Cancel()                                    {}
func (s *site) ResponseHead(end bool)                      { s.answered, s.gotEnd = true, end }
func (s *site) ResponseBody(p []byte, end bool)            { s.got, s.gotEnd = append(s.got, p...), end }
func (s *site) ResponseTrailers()                          { s.gotEnd, s.gotTrailer = true, lines(&s.resp.Trailer) }
func (s *site) Abort(string)                               { s.aborted = true }
func (s *site) Property(path string) (v filters.Value, _ bool) {
	if path != "source\x00address" {
		return v, false
	}
	v.Text = "127.0.0.1:4711"
	return v, true
}

func (s *site) RequestHead(end bool) {
	s.asked, s.sentEnd, s.length = true, end, s.req.Length
	s.head = s.req.Method + " " + s.req.Target + " " + s.req.Authority + " " + lines(&s.req.Header)
}

func lines(f *message.Fields) string {
	var out []string
	for k := range f.Len() {
		if name, value := f.At(k); name != "x-do" && name != "x-then" {
			out = append(out, name+"="+value)
		}
	}
	return strings.Join(out, "&")
}

// newSite has a GET request with the two scripts and a header of "a-header", "multi" twice.
func newSite(t *testing.T, do, then string) *site {
	s := &site{t: t}
	s.req.Method, s.req.Scheme, s.req.Authority, s.req.Target, s.req.Version = "GET", "http", "example.com", "/a?b=c", message.HTTP11
	s.req.Header.Add("a-header", "value1")
	s.req.Header.Add("multi", "value1")
	s.req.Header.Add("multi", "value2")
	if do != "" {
		s.req.Header.Add("x-do", do)
	}
	if then != "" {
		s.req.Header.Add("x-then", then)
	}
	return s
}

// request pushes the request, its body in the given pieces; length is what it declares.
func (s *site) request(f filters.Filter, length int64, pieces ...string) {
	s.req.Length = length
	s.chain.Begin([]filters.Filter{f}, &s.req, &s.resp, s, s)
	s.chain.RequestHead(len(pieces) == 0)
	for k, p := range pieces {
		s.chain.RequestBody([]byte(p), k == len(pieces)-1)
	}
}

// respond pushes the upstream's response.
func (s *site) respond(status int, length int64, pieces ...string) {
	s.resp.Status, s.resp.Length = status, length
	s.resp.Header.Add("server", "origin")
	s.chain.ResponseHead(len(pieces) == 0)
	for k, p := range pieces {
		s.chain.ResponseBody([]byte(p), k == len(pieces)-1)
	}
}

// end is the response as the client got it.
func (s *site) end() string {
	s.t.Helper()
	if !s.chain.End() {
		s.t.Error("the chain does not end")
	}
	if s.aborted {
		return "aborted"
	}
	if !s.answered {
		return "nothing"
	}
	return fmt.Sprintf("%d %s %s", s.resp.Status, lines(&s.resp.Header), s.got)
}

func script(t *testing.T, spec Spec) *Filter {
	t.Helper()
	return scriptOn(t, Options{}, spec)
}

func scriptOn(t *testing.T, o Options, spec Spec) *Filter {
	t.Helper()
	spec.Name, spec.Wasm = "script", guest(t, "testdata/script.wasm")
	return testFilter(t, testHost(t, o), spec)
}

// The request cases of the ABI's own test kit, each as it states it: the guest looks, or changes, and next=1.
func TestHandlerRequestKit(t *testing.T) {
	f := script(t, Spec{Config: []byte("f7")})
	for _, c := range []struct {
		name, do string
		prepare  func(r *message.Request)
		body     string
		upstream string // a part of the head that the upstream gets
		client   string // a part of what the client gets
	}{
		{name: "get_protocol_version", do: "vbody", client: " HTTP/1.1"},
		{name: "set_method", do: "MPOST", upstream: "POST /a?b=c "},
		{name: "get_uri/simple", do: "u", prepare: target("/simple"), client: "x-u=/simple "},
		{name: "get_uri/simple/escaping", do: "u", prepare: target("/simple%26clean"), client: "x-u=/simple%26clean "},
		{name: "get_uri/query", do: "u", prepare: target("/animal?name=panda"), client: "x-u=/animal?name=panda "},
		{name: "get_uri/query/escaping", do: "u", prepare: target("/disney?name=chip%26dale"),
			client: "x-u=/disney?name=chip%26dale "},
		{name: "set_uri/simple", do: "U/simple", upstream: "GET /simple "},
		{name: "set_uri/simple/escaping", do: "U/simple%26clean", upstream: "GET /simple%26clean "},
		{name: "set_uri/query", do: "U/animal?name=panda", upstream: "GET /animal?name=panda "},
		{name: "set_uri/query/escaping", do: "U/disney?name=chip%26dale", upstream: "GET /disney?name=chip%26dale "},
		{name: "get_header_values/lowercase-key", do: "g0a-header", client: "x-g=1:value1, "},
		{name: "get_header_values/mixedcase-key", do: "g0A-Header", client: "x-g=1:value1, "},
		{name: "get_header_values/not-exists", do: "g0not-header", client: "x-g=0: "},
		{name: "get_header_values/multiple-values", do: "g0multi", client: "x-g=2:value1,value2, "},
		{name: "get_header_names", do: "n0", client: "x-n=4:host,a-header,multi,x-do, "},
		{name: "set_header_value/new", do: "h0new=value", upstream: "&new=value"},
		{name: "set_header_value/existing", do: "h0a-header=new", upstream: "a-header=new&"},
		{name: "add_header_value/new", do: "H0new=value", upstream: "&new=value"},
		{name: "add_header_value/existing", do: "H0a-header=value2",
			upstream: "a-header=value1&multi=value1&multi=value2&a-header=value2"},
		{name: "remove_header/new", do: "d0new", upstream: "example.com a-header=value1&multi=value1&multi=value2"},
		{name: "remove_header/existing", do: "d0a-header", upstream: "example.com multi=value1&multi=value2"},
		{name: "read_body/empty", do: "r02048", client: "x-r= "},
		{name: "read_body/small", do: "r02048", body: "aaaaa", client: "x-r=aaaaa "},
		{name: "read_body/medium", do: "r02048", body: strings.Repeat("a", 2048), client: "x-r=2048 "},
		{name: "read_body/large", do: "r02048", body: strings.Repeat("a", 4096), client: "x-r=4096 "},
		{name: "read_body/xlarge", do: "r02048", body: strings.Repeat("a", 5000), client: "x-r=5000 "},
		{name: "get_source_addr", do: "a", client: "x-a=127.0.0.1:4711 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.do, "")
			if c.prepare != nil {
				c.prepare(&s.req)
			}
			if c.body == "" {
				s.request(f, 0)
			} else {
				s.request(f, int64(len(c.body)), c.body)
			}
			if !s.asked || !strings.Contains(s.head, c.upstream) || !s.sentEnd || string(s.sent) != c.body {
				t.Errorf("upstream: %v %q end %v, %d bytes", s.asked, s.head, s.sentEnd, len(s.sent))
			}
			s.respond(200, message.UnknownLength, "")
			if got := s.end(); !strings.Contains(got+" ", c.client) || !strings.HasPrefix(got, "200 ") {
				t.Errorf("client: %q, want %q", got, c.client)
			}
		})
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"} {
		t.Run("get_method/"+method, func(t *testing.T) {
			s := newSite(t, "m", "")
			s.req.Method = method
			s.request(f, 0)
			s.resp.Bodiless = method == "HEAD"
			s.respond(200, 0)
			if got := s.end(); !strings.Contains(got, "x-m="+method+" ") || !strings.HasPrefix(s.head, method+" ") {
				t.Errorf("client: %q, upstream %q", got, s.head)
			}
		})
	}
}

func target(uri string) func(*message.Request) { return func(r *message.Request) { r.Target = uri } }

func TestHandlerResponse(t *testing.T) {
	const unknown = message.UnknownLength
	for _, c := range []struct {
		name, do, then string
		features       string
		status         int
		length         int64
		pieces         []string
		want           string
		log            string
	}{
		{"context and isError 0", "", "i", "f2", 200, 0, nil, "200 server=origin ", "ctx=042 err=0"},
		{"next=0 is the answer", "0;S403;h1x-why=policy;w1no", "t", "f0", 0, 0, nil, "403 x-why=policy no", ""},
		{"next=0 with nothing said", "0", "t", "f0", 0, 0, nil, "200  ", ""},
		{"next=0 with framing fields", "0;h1content-length=9;h1connection=close;w1no", "", "f0", 0, 0, nil, "200  no", ""},
		{"headers set before next survive", "h1server=guest;H1via=guest", "", "f0", 200, 2, []string{"ok"}, "200 server=guest&via=guest ok", ""},
		{"headers added before next join", "H1server=guest", "", "f0", 200, 2, []string{"ok"}, "200 server=origin&server=guest ok", ""},
		{"a body written before next, upstream empty", "w1mine", "", "f0", 200, 0, nil, "200 server=origin mine", ""},
		{"a body written before next, upstream chunked and empty", "w1mine", "", "f0", 200, unknown, []string{""},
			"200 server=origin mine", ""},
		{"a body written before next comes first", "w1mine,", "", "f0", 200, 4, []string{"ups", "t"}, "200 server=origin mine,upst", ""},
		{"overwritten in handle_response", "w1mine", "w1last", "f2", 200, 4, []string{"ups", "t"}, "200 server=origin last", ""},
		{"get_status_code", "", "s", "f2", 418, 0, nil, "418 server=origin&x-s=418 ", ""},
		{"get_status_code before next", "S404;s;S410;H1x-s=after", "", "f2", 200, 0, nil, "200 server=origin&x-s=404&x-s=after ", ""},
		{"set_status_code", "", "S404", "f2", 200, 2, []string{"ok"}, "404 server=origin ok", ""},
		{"headers", "", "d1server;h1a=b;H1a=c;g1A;n1", "f2", 200, 2, []string{"ok"}, "200 a=b&a=c&x-g=2:b,c,&x-n=2:a,x-g, ok", ""},
		{"write_body", "", "w1new;w1er", "f2", 200, 4, []string{"ol", "d!"}, "200 server=origin newer", ""},
		{"write_body of nothing", "", "w1", "f2", 200, 4, []string{"ol", "d!"}, "200 server=origin ", ""},
		{"write_body where none was", "", "w1new", "f2", 200, 0, nil, "200 server=origin new", ""},
		{"read_body", "", "r12;h1late=yes", "f2", 200, 6, []string{"ab", "cd", "ef"}, "200 server=origin&x-r=abcdef&late=yes abcdef", ""},
		{"read_body, length unknown", "", "q13;w1[redacted]", "f2", 200, unknown, []string{"abc", "def"},
			"200 server=origin [redacted]", "abcdef"},
		{"the status after reading, length unknown", "", "q13;S404", "f2", 200, unknown, []string{"abc", "def"},
			"404 server=origin abcdef", ""},
		{"read_body and overwrite", "", "r14;S201;w1[redacted]", "f2", 200, 6, []string{"abc", "def"},
			"201 server=origin&x-r=abcdef [redacted]", ""},
		{"read_body of nothing", "", "r14", "f2", 200, 0, nil, "200 server=origin&x-r= ", ""},
		{"204 after reading", "", "r14;S204;w1x", "f2", 200, 6, []string{"abc", "def"}, "204 server=origin&x-r=abcdef ", ""},
		{"the request's body after next", "", "r04", "f3", 200, 0, nil, "200 server=origin&x-r= ", ""},
		{"features of one request", "e2;E", "S404", "f0", 200, 0, nil, "404 server=origin&x-e=2 ", ""},
		{"config", "c", "", "f4", 200, 0, nil, "200 server=origin&x-c=f4 ", ""},
		{"log_enabled", "L4;L0", "", "f0", 200, 0, nil, "200 server=origin&x-l=0 ", ""},
		{"log", "l0debug;l1info;l3error;l4none;o", "", "f0", 200, 0, nil, "200 server=origin ", "info,error"},
		{"buf_limit below the length", "b2", "", "f0", 200, 0, nil, "200 server=origin&x-b=?3 ", ""},
		{"buf_limit of the length", "b3", "", "f0", 200, 0, nil, "200 server=origin&x-b=G3 ", ""},
		{"host is the authority", "h0Host=other.example:81;g0host", "", "f0", 200, 0, nil, "200 server=origin&x-g=1:other.example:81, ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := script(t, Spec{Config: []byte(c.features), LogLevel: filters.Info})
			s := newSite(t, c.do, c.then)
			s.request(f, 0)
			if s.asked {
				s.respond(c.status, c.length, c.pieces...)
			}
			if got := s.end(); strings.TrimSpace(got) != strings.TrimSpace(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := strings.Join(s.lines, ","); !strings.HasPrefix(got, c.log) {
				t.Errorf("logged %q, want %q", got, c.log)
			}
		})
	}
}

func TestHandlerReadsABodyThatComesInPieces(t *testing.T) {
	for _, c := range []struct {
		name, do string
		length   int64
		expect   bool
		head     string
		body     string
		answer   string
	}{
		{"the head waits for the guest", "r03;h0late=yes;MPUT;h1a=b", 8, false,
			"PUT /a?b=c example.com a-header=value1&multi=value1&multi=value2&late=yes", "abcdefgh", "200 x-r=abcdefgh&a=b "},
		{"only a part is read", "R03", 8, false, "", "abcdefgh", "200 x-r=abc "},
		{"overwritten", "r03;w0new", 8, false, "", "new", "200 x-r=abcdefgh "},
		{"overwritten unread", "w0new;w0er", 8, false, "", "newer", "200  "},
		{"no declared length", "r03;h1a=b", message.UnknownLength, false, "", "abcdefgh", "200 x-r=abcdefgh&a=b "},
		{"a loop without end, after the wait", "r03;z", 8, false, "none", "", unavailable},
		{"refused after a look", "r03;0;S403", 8, false, "none", "", "403 x-r=abcdefgh "},
		{"no declared length, and a change afterwards", "r03;h0late=yes;MPUT", message.UnknownLength, false,
			"PUT /a?b=c example.com a-header=value1&multi=value1&multi=value2&late=yes", "abcdefgh", "200 x-r=abcdefgh "},
		{"no declared length, and refused", "r03;0;S403", message.UnknownLength, false, "none", "", "403 x-r=abcdefgh "},
		{"a client that expects 100", "r03;h0late=yes", 8, true,
			"GET /a?b=c example.com a-header=value1&multi=value1&multi=value2&late=yes", "abcdefgh", "200 x-r=abcdefgh "},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := script(t, Spec{Config: []byte("f3"), Lanes: 1})
			s := newSite(t, c.do, "")
			s.req.Expect = c.expect
			s.request(f, c.length, "ab", "cde", "f", "gh")
			if c.head == "none" && s.asked {
				t.Errorf("the upstream was asked: %q", s.head)
			}
			if c.head != "none" && c.head != "" && s.head != c.head {
				t.Errorf("head %q, want %q", s.head, c.head)
			}
			if string(s.sent) != c.body {
				t.Errorf("body %q, want %q", s.sent, c.body)
			}
			if c.length > 0 && s.asked && c.body != "" && s.length >= 0 && s.length != int64(len(c.body)) {
				t.Errorf("declared %d bytes for %d", s.length, len(c.body))
			}
			if s.asked && !s.answered {
				s.respond(200, 0)
			}
			got := strings.Replace(strings.Replace(s.end(), "server=origin&", "", 1), "server=origin", "", 1)
			if got != c.answer {
				t.Errorf("got %q, want %q", got, c.answer)
			}
		})
	}
}

func TestHandlerTrailers(t *testing.T) {
	run := func(features, do, then string, reqTrailer, respTrailer string) *site {
		f := script(t, Spec{Config: []byte(features)})
		s := newSite(t, do, then)
		s.req.Length = message.UnknownLength
		s.chain.Begin([]filters.Filter{f}, &s.req, &s.resp, s, s)
		s.chain.RequestHead(false)
		s.chain.RequestBody([]byte("question"), reqTrailer == "")
		if reqTrailer != "" {
			s.req.Trailer.Add("sum", reqTrailer)
			s.chain.RequestTrailers()
		}
		s.resp.Status, s.resp.Length = 200, 6
		s.chain.ResponseHead(false)
		s.chain.ResponseBody([]byte("answer"), respTrailer == "")
		if respTrailer != "" {
			s.resp.Trailer.Add("sum", respTrailer)
			s.chain.ResponseTrailers()
		}
		return s
	}
	for _, c := range []struct {
		name, do, then, req, resp      string
		body, trailer, got, gotTrailer string
		client                         string
		log, without                   bool
	}{
		{"read and change", "g2sum;h2sum=2;H2more=3", "g3sum;h3sum=5;n3", "1", "4",
			"question", "sum=2&more=3", "answer", "sum=5", "200 x-g=1:4,&x-n=1:sum, answer", false, false},
		{"set before next", "h3early=yes", "", "1", "4", "question", "sum=1", "answer", "sum=4&early=yes", "200  answer", false, false},
		{"removed, bodies overwritten", "g2sum;d2sum;w0Q", "r14;d3sum;w1A", "1", "4", "Q", "", "A", "", "200 x-g=1:1,&x-r=answer A", false, false},
		{"overwritten unread", "w0Q", "w1A", "1", "4", "Q", "sum=1", "A", "sum=4", "200  A", false, false},
		{"read without the feature", "g2sum", "g3sum", "1", "4", "question", "sum=1", "answer", "sum=4",
			"200 x-g=0: answer", false, true},
		{"there are none", "g2sum;h2sum=1", "g3sum;h3sum=1", "", "", "question", "", "answer", "", "200 x-g=0: answer", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			features := "f7"
			if c.without {
				features = "f3"
			}
			s := run(features, c.do, c.then, c.req, c.resp)
			if string(s.sent) != c.body || s.sentTrailer != c.trailer || !s.sentEnd {
				t.Errorf("upstream got %q and %q, end %v", s.sent, s.sentTrailer, s.sentEnd)
			}
			if s.gotTrailer != c.gotTrailer || !s.gotEnd {
				t.Errorf("client got trailer %q, end %v", s.gotTrailer, s.gotEnd)
			}
			if got := s.end(); got != c.client {
				t.Errorf("client got %q, want %q", got, c.client)
			}
			if dropped := slices.ContainsFunc(s.lines, func(l string) bool { return strings.Contains(l, "dropped") }); dropped != c.log {
				t.Errorf("logged %q", s.lines)
			}
		})
	}
}

// What the host cannot do is a trap; the policy answers, and the next request finds a sound instance.
func TestHandlerHostFailuresTrap(t *testing.T) {
	for _, c := range []struct{ name, features, do, then, log string }{
		{"unreachable", "f0", "t", "", "unreachable"},
		{"in handle_response", "f0", "", "t", "unreachable"},
		{"a loop without end", "f0", "z", "", "CPU"},
		{"a buffer out of bounds", "f0", "O", "", "out of bounds memory access"},
		{"read_body with limit 0", "f1", "r00", "", "buf_limit 0"},
		{"unknown header kind", "f0", "h7a=b", "", "header kind 7"},
		{"unknown body kind", "f0", "w5a", "", "body kind 5"},
		{"set_method of no method", "f0", "MA B", "", "no method"},
		{"set_uri of no uri", "f0", "Ua", "", "begin with /"},
		{"set_uri unescaped", "f0", "U/a b", "", "percent-encoded"},
		{"an empty field name", "f0", "h0=b", "", "empty field name"},
		{"a field name with a colon", "f0", "h0a:b=c", "", "not a valid field"},
		{"a host that is none", "f0", "h0host=a@b", "", "the host"},
		{"a status beyond", "f0", "S99", "", "set_status_code with 99"},
		{"trailers without the feature", "f3", "h2a=b", "", "without the feature"},
		{"a body for a request without", "f1", "w0a", "", "without a body"},
		{"the method after next", "f7", "", "MPOST", "after it had gone on"},
		{"a request header after next", "f7", "", "h0a=b", "after it had gone on"},
		{"the request's body after next", "f7", "", "w0a", "after it had gone on"},
		{"the status after next", "f5", "", "S404", "without buffer_response"},
		{"a response header after next", "f5", "", "h1a=b", "without buffer_response"},
		{"the response's body after next", "f5", "", "r14", "without buffer_response"},
		{"writing the response after next", "f5", "", "w1a", "without buffer_response"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log []string
			f := scriptOn(t, Options{
				Log:   func(_ string, _ filters.Level, text string) { log = append(log, text) },
				After: func(_ time.Duration, f func()) { go f() },
			}, Spec{Config: []byte(c.features)})
			s := newSite(t, c.do, c.then)
			s.request(f, 0)
			if !s.answered {
				s.respond(200, 0)
			}
			if got := s.end(); got != unavailable {
				t.Errorf("got %q", got)
			}
			if f.Stats().Faults == ([causes]uint64{}) {
				t.Error("no fault is counted")
			}
			if !strings.Contains(strings.Join(log, "\n"), c.log) {
				t.Errorf("logged %q, want %q", log, c.log)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	wasm := example(t, "redact")
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "redact", Wasm: wasm, Config: []byte("secret")})
	for _, c := range []struct {
		name           string
		request        []string
		length         int64
		response       []string
		want, upstream string
	}{
		{"nothing to hide", []string{"a ques", "tion"}, 5, []string{"ans", "wer"}, "200 server=origin answer", "a question"},
		{"across pieces", nil, 14, []string{"a sec", "ret, twi", "ce: secret"}, "200 server=origin a ******, twice: ******", ""},
		{"no declared length", nil, message.UnknownLength, []string{"a sec", "ret"}, "200 server=origin a ******", ""},
		{"a request that has it", []string{"sec", "ret"}, 0, nil, "403 content-type=text/plain not that word\n", ""},
		{"a large response", nil, message.UnknownLength, []string{strings.Repeat("x", 300<<10)},
			"200 server=origin " + strings.Repeat("x", 300<<10), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, "", "")
			s.request(f, 10, c.request...)
			if s.asked {
				s.respond(200, c.length, c.response...)
			}
			if got := s.end(); got != c.want || string(s.sent) != c.upstream {
				t.Errorf("got %.100q, upstream %q", got, s.sent)
			}
		})
	}
	_, err := testHost(t, Options{}).NewFilter(Spec{Name: "redact", Wasm: wasm})
	if err == nil || !strings.Contains(err.Error(), "the word to hide") {
		t.Errorf("without a configuration: %v", err)
	}
}

// Guests enable features and read their configuration in the module's start function too.
func TestHandlerWithAStartFunction(t *testing.T) {
	m := &asm.Module{}
	config := m.Import("http_handler", "get_config", "ii", "i")
	features := m.Import("http_handler", "enable_features", "i", "i")
	const i32Ne, i64Const = 0x47, 0x42
	m.Start(m.Func("", "", "", 0, asm.Join(
		asm.Const(0), asm.Const(64), asm.Call(config), asm.Const(3), []byte{i32Ne, asm.If, asm.Void, asm.Unreachable, asm.End},
		asm.Const(7), asm.Call(features), asm.Const(7), []byte{i32Ne, asm.If, asm.Void, asm.Unreachable, asm.End})...))
	m.Func("handle_request", "", "I", 0, i64Const, 1)
	m.Func("handle_response", "ii", "", 0)
	f := testFilter(t, testHost(t, Options{}), Spec{Name: "start", Wasm: m.Encode(), Config: []byte("abc")})
	s := newSite(t, "", "")
	s.request(f, 0)
	s.respond(200, 0)
	if got := s.end(); got != "200 server=origin " {
		t.Errorf("got %q", got)
	}
}
