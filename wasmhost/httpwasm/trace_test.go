package httpwasm

import (
	"slices"
	"strings"
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

func TestTraceLetters(t *testing.T) {
	for name, c := range hostCalls {
		for k := range c.params {
			var second string
			switch c.params[k] {
			case 'a':
				second = "n"
			case 'B':
				second = "L"
			case 'i', 'I', 'n', 'L', 'b', 'f', 'k':
			default:
				t.Errorf("%s: parameter %c cannot be read", name, c.params[k])
			}
			if !strings.HasPrefix(c.params[k+1:], second) {
				t.Errorf("%s: %q: no %s behind %c", name, c.params, second, c.params[k])
			}
		}
		if len(c.results) > 1 || !strings.Contains("infVE", c.results) {
			t.Errorf("%s: result %q cannot be read", name, c.results)
		}
	}
}

// Every kind of argument and result is shown as what it means, between the call into the guest and its return.
func TestTrace(t *testing.T) {
	args := func(v ...int32) (code []byte) {
		for _, n := range v {
			code = append(code, asm.Const(n)...)
		}
		return code
	}
	for name, c := range map[string]struct {
		code []byte // the call's arguments
		want string
	}{
		"get_method":        {args(512, 16), `get_method() = 3 "GET"`},
		"get_uri":           {args(512, 2), `get_uri() = 6`},
		"get_header_names":  {args(0, 512, 100), `get_header_names(request) = 3 "host\x00user-agent\x00accept\x00"`},
		"set_header_value":  {args(1, 16, 6, 1024, 300), `set_header_value(response, "x-name", "` + strings.Repeat("v", 256) + `"…)`},
		"enable_features":   {args(3), `enable_features(buffer_request|buffer_response) = buffer_request|buffer_response|trailers`},
		"get_status_code":   {nil, `get_status_code() = 200`},
		"get_config":        {args(512, 100), `get_config() = 7 "the cfg"`},
		"set_status_code":   {args(999), `set_status_code(999) = trap`},
		"remove_header":     {args(0, 0x7fffffff, 5), `remove_header(request, outside:2147483647+5) = trap`},
		"get_header_values": {args(0, 16, 6, 512, 100), `get_header_values(request, "x-name") = 0 ""`},
	} {
		t.Run(name, func(t *testing.T) {
			wasm := calling(name, func(index uint32) []byte {
				code := asm.Join(c.code, asm.Call(index))
				if hostCalls[name].results != "" {
					code = append(code, asm.Drop)
				}
				return code
			})
			in := launch(t, wasm, &Plugin{BodyLimit: 1000, Config: []byte("the cfg"), Trace: true, LogLevel: filters.Error})
			x := fake.New()
			var s Stream
			s.Begin(x, in)
			_, err := s.Head(filters.Request, true)
			last := "return handle_request = next 1, context 0"
			if err != nil {
				last = "trap in handle_request"
			}
			if want := []string{"0 call handle_request()", "0 " + c.want, "0 " + last}; !slices.Equal(x.Lines, want) {
				t.Errorf("got  %q\nwant %q", x.Lines, want)
			}
		})
	}
}
