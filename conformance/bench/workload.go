package main

// hello is the small answer of every workload: 12 bytes.
const hello = "hello world\n"

// workload is one table of the report.
type workload struct {
	name   string
	path   string
	header string  // one more request field, or ""
	goal   float64 // edge is to reach this ratio to nginx
	caddy  float64 // and this ratio to caddy, where it is not 0
	note   string
}

var workloads = []workload{
	{name: "respond", path: "/hello", goal: 0.95, note: "the server's own 12-byte answer, keep-alive (nginx: return 200)"},
	{name: "file", path: "/files/hello.txt", goal: 0.95, note: "a 12-byte file, keep-alive, no open-file cache"},
	{name: "proxy", path: "/proxy/", goal: 0.9, caddy: 5, note: "reverse proxy, keep-alive on both sides; the origin (nginx) shares the load's core"},
	{name: "close", path: "/hello", header: "Connection: close", goal: 0.9, note: "as respond, a new connection for every request"},
	{name: "filter", path: "/filter/", header: "User-Agent: bench", goal: 0.9,
		note: "as proxy, with a filter that reads one field and sets two (edge: a Wasm guest in C; nginx: Lua)"},
}
