package headers

import (
	"slices"
	"strings"
	"testing"

	"edge/filters"
	"edge/filters/message"
)

type table = map[string]any

// exchange is as much of an Exchange as the filter uses.
type exchange struct {
	filters.Exchange
	request  message.Request
	response message.Response
}

func (x *exchange) Request() *message.Request   { return &x.request }
func (x *exchange) Response() *message.Response { return &x.response }

func lines(f *message.Fields) (out []string) {
	for i := range f.Len() {
		name, value := f.At(i)
		out = append(out, name+": "+value)
	}
	return out
}

func TestChanges(t *testing.T) {
	before := [][2]string{{"server", "origin"}, {"x-a", "1"}, {"x-a", "2"}, {"vary", "accept"}}
	tests := []struct {
		name   string
		config table
		want   []string
	}{
		{"set replaces every line, in the first one's place", table{"set": table{"X-A": "3"}},
			[]string{"server: origin", "x-a: 3", "vary: accept"}},
		{"set appends what is not there", table{"set": table{"x-content-type-options": "nosniff"}},
			[]string{"server: origin", "x-a: 1", "x-a: 2", "vary: accept", "x-content-type-options: nosniff"}},
		{"set to an empty value", table{"set": table{"server": ""}},
			[]string{"server: ", "x-a: 1", "x-a: 2", "vary: accept"}},
		{"add keeps what is there", table{"add": table{"Vary": "cookie"}},
			[]string{"server: origin", "x-a: 1", "x-a: 2", "vary: accept", "vary: cookie"}},
		{"add several in their order", table{"add": table{"vary": []any{"cookie", "accept-language"}}},
			[]string{"server: origin", "x-a: 1", "x-a: 2", "vary: accept", "vary: cookie", "vary: accept-language"}},
		{"remove every line, in any case", table{"remove": []any{"X-a", "Server", "absent"}}, []string{"vary: accept"}},
		{"remove, then set, then add", table{"remove": []any{"x-a"}, "set": table{"x-a": "s"}, "add": table{"x-a": "a"}},
			[]string{"server: origin", "vary: accept", "x-a: s", "x-a: a"}},
		{"the order of names, not of the table", table{"set": table{"x-c": "3", "x-b": "2", "x-d": "4"}},
			[]string{"server: origin", "x-a: 1", "x-a: 2", "vary: accept", "x-b: 2", "x-c: 3", "x-d: 4"}},
	}
	for _, test := range tests {
		for d, key := range []string{"request", "response"} {
			t.Run(key+": "+test.name, func(t *testing.T) {
				f, err := New("security", table{key: test.config})
				if err != nil {
					t.Fatal(err)
				}
				if want := []filters.Callbacks{filters.OnRequestHead, filters.OnResponseHead}[d]; f.Callbacks() != want {
					t.Errorf("callbacks %b, want %b", f.Callbacks(), want)
				}
				x := &exchange{}
				headers := []*message.Fields{&x.request.Header, &x.response.Header}
				for _, h := range headers {
					for _, l := range before {
						h.Add(l[0], l[1])
					}
				}
				s, _ := f.NewStream(x)
				if a := s.Head(filters.Direction(d), false); a != filters.Continue {
					t.Errorf("action %d", a)
				}
				if !s.Close() {
					t.Error("the stream did not close")
				}
				if got := lines(headers[d]); !slices.Equal(got, test.want) {
					t.Errorf("got  %q\nwant %q", got, test.want)
				}
				if other := headers[1-d]; other.Len() != len(before) {
					t.Errorf("the other direction has become %q", lines(other))
				}
			})
		}
	}
}

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name   string
		config table
		want   []string // how each line of the error begins
	}{
		{"unknown direction", table{"responses": table{}}, []string{"responses: unknown key"}},
		{"unknown change", table{"request": table{"replace": table{}}}, []string{"request.replace: unknown key"}},
		{"direction not a table", table{"request": "x"}, []string{"request: not a table"}},
		{"set not a table", table{"request": table{"set": []any{"x"}}}, []string{"request.set: not a table"}},
		{"set to a number", table{"request": table{"set": table{"x-a": int64(1)}}}, []string{"request.set: x-a: the value is not a string"}},
		{"set to a list", table{"request": table{"set": table{"x-a": []any{"1"}}}}, []string{"request.set: x-a: the value is not a string"}},
		{"add a list of numbers", table{"request": table{"add": table{"x-a": []any{int64(1)}}}}, []string{"request.add: x-a: the value is not"}},
		{"add a table", table{"request": table{"add": table{"x-a": table{}}}}, []string{"request.add: x-a: the value is neither"}},
		{"remove not a list", table{"response": table{"remove": "x-a"}}, []string{"response.remove: not a list"}},
		{"remove a number", table{"response": table{"remove": []any{int64(1)}}}, []string{"response.remove: 1 is not a string"}},
		{"remove framing", table{"response": table{"remove": []any{"Content-Length"}}}, []string{`response.remove: "Content-Length" belongs`}},
		{"the same name twice", table{"response": table{"set": table{"X-A": "1", "x-a": "2"}}},
			[]string{`response.set: "X-A" and "x-a" are the same field`}},
		{"all of it at once", table{"request": table{"set": table{"a b": "1", "x": "a\rb"}}, "response": table{"set": table{"te": "1"}}, "x": 1},
			[]string{`request.set: "a b" is not a field name`, `request.set: x: "a\rb" is not a field value`, `response.set: "te" belongs`,
				"x: unknown key"}},
	}
	for _, name := range []string{"", "a b", "a:", "ä", "a\x00"} {
		tests = append(tests, struct {
			name   string
			config table
			want   []string
		}{"W99 name " + name, table{"response": table{"set": table{name: "1"}}}, []string{"response.set: "}})
	}
	for _, name := range []string{"Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "TE", "Upgrade", "Host",
		"Proxy-Connection", ":path", ":status"} {
		tests = append(tests, struct {
			name   string
			config table
			want   []string
		}{"W99 framing " + name, table{"request": table{"add": table{name: "1"}}}, []string{"request.add: \"" + name}})
	}
	for _, value := range []string{"a\r\nb: c", "a\nb", "a\x00", " a", "a\t", "\x7f"} {
		tests = append(tests, struct {
			name   string
			config table
			want   []string
		}{"W99 value", table{"response": table{"set": table{"x-a": value}}}, []string{"response.set: x-a: "}})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := New("f", test.config)
			if err == nil || f != nil {
				t.Fatalf("accepted: %v", err)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("got %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}

func TestNothingToDo(t *testing.T) {
	for _, config := range []table{nil, {}, {"request": table{}}, {"response": table{"remove": []any{}}}} {
		f, err := New("idle", config)
		if err != nil {
			t.Fatal(err)
		}
		if f.Callbacks() != 0 || f.Name() != "idle" {
			t.Errorf("%v: callbacks %b of %q", config, f.Callbacks(), f.Name())
		}
	}
}

func TestNoAllocation(t *testing.T) {
	f, err := New("security", table{"response": table{"set": table{"x-a": "1"}, "remove": []any{"server"}}})
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{}
	n := testing.AllocsPerRun(1000, func() {
		x.response.Reset()
		x.response.Header.Add("server", "origin")
		s, _ := f.NewStream(x)
		s.Head(filters.Response, true)
		s.Close()
	})
	if n >= 1 { // the collector may empty the pool now and then
		t.Errorf("%v allocations", n)
	}
}
