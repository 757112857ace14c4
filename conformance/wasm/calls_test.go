package wasm

// callCases has a case or more for each host call that needs nothing but a stream. Statuses are those of the specification: 0 ok,
// 1 not found, 2 bad argument, 6 invalid memory access, 7 empty, 8 CAS mismatch, 10 internal failure.
var callCases = []exchange{
	{name: "log", do: "request_headers: proxy_log 2 'a line'; proxy_log 9 'a line'; say", want: []string{"log=0 log=2"}},
	{name: "log level", do: "request_headers: proxy_get_log_level ?; say", want: []string{"get_log_level=0:1"}},
	{name: "clock", do: "request_headers: proxy_get_current_time_nanoseconds ?8; say",
		want: []string{"get_current_time_nanoseconds=0:1"}, never: []string{"nanoseconds=0:1 "}},

	{name: "gRPC, refused", do: "request_headers: proxy_grpc_call 'none' 'a.B' 'C' [] 'm' 10 ?; proxy_grpc_cancel 7; proxy_grpc_close 7; say",
		want: []string{"grpc_call=4:0 grpc_cancel=1 grpc_close=1"}},
	{name: "gRPC stream, refused", do: "request_headers: proxy_grpc_stream 'none' 'a.B' 'C' [] ?; proxy_grpc_send 7 'm' 1; say",
		want: []string{"grpc_stream=4:0 grpc_send=1"}},

	{name: "header, one", do: "request_headers: proxy_get_header_map_value 0 'x-a' ??; proxy_get_header_map_value 0 'X-A' ??; say",
		fields: "X-A: one\r\nX-A: two\r\n", want: []string{"value=0:one get_header_map_value=0:one"}},
	{name: "header, none", do: "request_headers: proxy_get_header_map_value 0 'x-none' ??; say", want: []string{"get_header_map_value=1:"}},
	{name: "pseudo headers", do: "request_headers: proxy_get_header_map_value 0 ':path' ??; proxy_get_header_map_value 0 ':method' ??; " +
		"proxy_get_header_map_value 0 ':authority' ??; proxy_get_header_map_value 0 ':scheme' ??; say", path: "p?q=1",
		want: []string{"=0:/probe/p?q=1 ", "=0:GET ", "=0:edge.test ", "=0:http"}},
	{name: "status", do: "response_headers: proxy_get_header_map_value 2 ':status' ??; tell", want: []string{"get_header_map_value=0:200"}},
	{name: "headers, all", do: "request_headers: proxy_get_header_map_size 0 ?; proxy_get_header_map_pairs 0 ??; say", fields: "X-A: one\r\n",
		want: []string{"get_header_map_size=0:", "get_header_map_pairs=0:", ":method,GET,", "x-a,one,"}, never: []string{"size=0:0"}},
	{name: "headers, no such map", do: "request_headers: proxy_get_header_map_size 2 ?; proxy_get_header_map_pairs 6 ??; " +
		"proxy_get_header_map_value 99 'a' ??; say", want: []string{"get_header_map_size=0:0", "pairs=0:", "value=2:"}},
	{name: "add", do: "request_headers: proxy_add_header_map_value 0 'x-b' 'two'; ask | response_headers: " +
		"proxy_add_header_map_value 2 'x-c' 'three'; tell", fields: "X-B: one\r\n", want: []string{"add_header_map_value=0", "x-c: three\n"},
		origin: []string{"x-b: one\n", "x-b: two\n"}},
	{name: "replace", do: "request_headers: proxy_replace_header_map_value 0 'x-b' 'two' | response_headers: " +
		"proxy_replace_header_map_value 2 'x-dup' 'three'; proxy_replace_header_map_value 2 ':status' '201'; tell", fields: "X-B: one\r\nX-B: more\r\n",
		want: []string{"replace_header_map_value=0", "x-dup: three\n", "201\n"}, never: []string{"x-dup: one", "x-dup: two"}, origin: []string{"x-b: two\n"}},
	{name: "replace pseudo", do: "request_headers: proxy_replace_header_map_value 0 ':path' '/other?x'; " +
		"proxy_replace_header_map_value 0 ':method' 'PUT'; proxy_replace_header_map_value 0 ':authority' 'else.test' | response_headers: tell",
		want: []string{"replace_header_map_value=0 replace_header_map_value=0 replace_header_map_value=0"}, origin: []string{"PUT /other?x\n", "host: else.test\n"}},
	{name: "remove", do: "request_headers: proxy_remove_header_map_value 0 'x-b' | response_headers: proxy_remove_header_map_value 2 'x-dup'; tell",
		fields: "X-B: one\r\nX-B: more\r\n", want: []string{"remove_header_map_value=0"}, never: []string{"x-dup"}, origin: []string{"GET"}},
	{name: "W99 what must not be written", do: "request_headers: proxy_replace_header_map_value 0 ':path' 'no-slash'; " +
		"proxy_replace_header_map_value 0 ':method' 'G T'; proxy_add_header_map_value 0 'x y' 'z'; proxy_remove_header_map_value 0 ':path'; " +
		"proxy_replace_header_map_value 0 ':authority' 'a@b'; proxy_add_header_map_value 2 'a' 'b'; say",
		want: []string{"=2 replace_header_map_value=2 add_header_map_value=2 remove_header_map_value=2 replace_header_map_value=2 add_header_map_value=2"}},
	{name: "W99 framing is edge's", method: "POST", body: "four", do: "request_headers: proxy_add_header_map_value 0 'transfer-encoding' 'chunked'; " +
		"proxy_replace_header_map_value 0 'content-length' '99'; proxy_add_header_map_value 0 'connection' 'x-b'; proxy_remove_header_map_value 0 'content-length' " +
		"| response_headers: tell", want: []string{"200\n", "remove_header_map_value=0", "\n\nfour"}, origin: []string{"content-length: 4\n"}},
	{name: "set all", do: "request_headers: proxy_set_header_map_pairs 0 [:path=/set,x-only=this] | response_headers: " +
		"proxy_set_header_map_pairs 2 [x-only=that]; tell", fields: "X-B: one\r\n", want: []string{"set_header_map_pairs=0", "x-only: that\n", "200\n"},
		never: []string{"x-dup", "x-origin"}, origin: []string{"GET /set\n", "x-only: this\n"}},
	{name: "set all, malformed", do: "request_headers: proxy_set_header_map_pairs 0 '~~~~~~~~'; proxy_set_header_map_pairs 0 'zzzz'; say",
		want: []string{"set_header_map_pairs=", " set_header_map_pairs=2"}},

	{name: "request body", method: "POST", body: "hello body", do: "request_body: proxy_get_buffer_bytes 0 0 100 ??; proxy_get_buffer_bytes 0 6 2 ??; " +
		"proxy_get_buffer_bytes 0 99 5 ??; proxy_get_buffer_status 0 ? ?; say",
		want: []string{"bytes=0:hello body get_buffer_bytes=0:bo get_buffer_bytes=0: get_buffer_status=0:10:0"}, origin: []string{""}},
	{name: "request body, replaced", method: "POST", body: "hello", do: "request_body: proxy_set_buffer_bytes 0 0 5 'other body' | response_headers: tell",
		want: []string{"set_buffer_bytes=0", "\n\nother body"}, origin: []string{"\n\nother body"}},
	{name: "request body, more before and after", method: "POST", body: "middle", do: "request_body: proxy_set_buffer_bytes 0 0 0 '<'; " +
		"proxy_set_buffer_bytes 0 99 0 '>' | response_headers: tell", want: []string{"bytes=0 set_buffer_bytes=0", "\n\n<middle>"}},
	{name: "response body, replaced", method: "POST", body: "hello", do: "response_piece: pause | response_body: proxy_get_buffer_bytes 1 0 9 ??; " +
		"proxy_set_buffer_bytes 1 0 5 'bye'; print", want: []string{"\n\nbye"}},
	{name: "buffers that are not there", do: "request_headers: proxy_get_buffer_bytes 0 0 9 ??; proxy_get_buffer_bytes 4 0 9 ??; " +
		"proxy_set_buffer_bytes 0 0 0 'x'; proxy_get_buffer_status 1 ? ?; proxy_get_buffer_bytes 42 0 1 ??; say",
		want: []string{"bytes=1: get_buffer_bytes=1: set_buffer_bytes=1 get_buffer_status=1:0:0 get_buffer_bytes=2:"}},
	{name: "configuration", do: "request_headers: proxy_get_buffer_bytes 7 0 4 ??; proxy_get_configuration ??; say",
		want: []string{"get_buffer_bytes=0:conf", "get_configuration=0:configure: "}},

	{name: "trailers", method: "POST", path: "trailers", pieces: []string{"a", "b"}, do: "request_trailers: proxy_get_header_map_value 1 'x-req-sum' ??; " +
		"proxy_add_header_map_value 1 'x-more' 'yes' | response_headers: tell | response_trailers: proxy_replace_header_map_value 3 'x-sum' 'changed'; " +
		"proxy_add_header_map_value 3 'x-more' 'too'", want: []string{"value=0:from the client add_header_map_value=0", "\n\nab\nx-sum: changed\nx-more: too\n"},
		origin: []string{"\n\nab\nx-req-sum: from the client\nx-more: yes\n"}},

	{name: "local response", do: "request_headers: proxy_send_local_response 418 'why' 'teapot' [x-a=b,content-length=99] -1",
		want: []string{"418\n", "x-a: b\n", "\n\nteapot"}, never: []string{"99"}, origin: []string{""}},
	{name: "local response, its status", do: "request_headers: proxy_send_local_response 99 '' '' '' -1; proxy_send_local_response 600 '' '' '' -1; say 403",
		want: []string{"403\n", "send_local_response=2 send_local_response=2"}},
	{name: "W101 local response twice", do: "request_headers: proxy_send_local_response 400 '' 'first' '' -1; proxy_send_local_response 401 '' 'second' '' -1",
		want: []string{"401\n", "\n\nsecond"}, never: []string{"first"}},
	{name: "local response in place of the response", do: "response_headers: proxy_send_local_response 403 '' 'hidden' '' -1", want: []string{"403\n", "\n\nhidden"}},
	{name: "continue", do: "request_headers: proxy_continue_stream 0; pause | response_headers: tell", want: []string{"200\n", "continue_stream=0"}},
	{name: "continue, no such stream", do: "request_headers: proxy_continue_stream 7; proxy_continue_stream 1; say", want: []string{"continue_stream=2 continue_stream=0"}},
	{name: "continue request and response", do: "request_headers: proxy_continue_request; pause | response_headers: proxy_continue_response; tell; pause",
		want: []string{"200\n", "continue_request=0 continue_response=0"}},
	{name: "close, no such stream", do: "request_headers: proxy_close_stream 7; say", want: []string{"close_stream=2"}},
	{name: "effective context", do: "request_headers: context; proxy_set_effective_context 1; proxy_get_header_map_value 0 'x-do' ??; " +
		"proxy_set_effective_context 77777; proxy_set_effective_context 0; print | response_headers: tell",
		want: []string{"set_effective_context=0 get_header_map_value=1: set_effective_context=2"}},
	{name: "done without a need", do: "request_headers: proxy_done; say", want: []string{" done="}},
	{name: "tick period", do: "request_headers: proxy_set_tick_period_milliseconds 0; say", want: []string{"set_tick_period_milliseconds=0"}},
	{name: "status of calls", do: "request_headers: proxy_get_status ? ??; say", want: []string{"get_status=0:0:"}},

	{name: "property", do: "request_headers: proxy_get_property 'request~path' ??; proxy_get_property 'request~method~' ??; " +
		"proxy_get_property 'plugin_name' ??; proxy_get_property 'route_name' ??; proxy_get_property 'no~such' ??; say",
		want: []string{"=0:/probe/a get_property=0:GET get_property=0:probe get_property=0:probe get_property=1:"}},
	{name: "property, a number", do: "response_headers: proxy_get_property 'response~code' ??; tell", want: []string{"get_property=0:200"}},
	{name: "property, stored", do: "request_headers: proxy_set_property 'my~own' 'value' | response_headers: proxy_get_property 'my~own' ??; tell",
		want: []string{"set_property=0 get_property=0:value"}},

	{name: "call", do: "request_headers: proxy_http_call 'app' [:method=POST,:path=/call,:authority=app,x-report=asked] 'sent' '' 1000 ?i; pause | " +
		"http_call_response: proxy_get_header_map_value 6 ':status' ??; proxy_get_header_map_value 6 'x-origin' ??; proxy_get_header_map_size 6 ?; " +
		"proxy_get_buffer_bytes 4 0 9 ??; proxy_continue_stream 0 | response_headers: tell",
		want: []string{"http_call=0:", "=0:200 get_header_map_value=0:POST /call", "get_buffer_bytes=0:sent continue_stream=0"}, origin: []string{"POST /call\n", "GET /probe/a\n"}},
	{name: "call, its trailers", do: "request_headers: proxy_http_call 'app' [:method=GET,:path=/call-trailers,:authority=app] '' '' 1000 ?; pause | " +
		"http_call_response: proxy_get_header_map_value 7 'x-sum' ??; say", want: []string{"get_header_map_value=0:from the origin"}},
	{name: "call, to whatever name the upstream has", do: "request_headers: proxy_http_call 'app' [:method=GET,:path=/call,:authority=] '' '' 1000 ?; pause | " +
		"http_call_response: say", want: []string{"http_call=0:"}, origin: []string{"host: app\n"}},
	{name: "call, refused", do: "request_headers: proxy_http_call 'nowhere' [:method=GET,:path=/,:authority=a] '' '' 1000 ?; " +
		"proxy_http_call 'app' [:method=GET,:path=/] '' '' 1000 ?; proxy_http_call 'secret' [:method=GET,:path=/,:authority=a] '' '' 1000 ?; say",
		want: []string{"http_call=2:0 http_call=2:0 http_call=2:0"}},
	{name: "W105 calls, too many", do: "request_headers: " + repeat("proxy_http_call 'app' [:method=GET,:path=/call,:authority=a] '' '' 1000 ?; ", 17) + "say",
		want: []string{"http_call=0:", " http_call=10:0"}},
	{name: "clear route cache", do: "request_headers: proxy_clear_route_cache; say", want: []string{"clear_route_cache=0"}},
	{name: "emscripten", do: "request_headers: emscripten_notify_memory_growth 0; pthread_equal 3 3; pthread_equal 3 4; say",
		want: []string{"emscripten_notify_memory_growth=0 pthread_equal=1 pthread_equal=0"}},
}

func repeat(s string, n int) string {
	out := ""
	for range n {
		out += s
	}
	return out
}
