package main

// hello is the small answer of every workload: 12 bytes.
const hello = "hello world\n"

// workload is one table of the report.
type workload struct {
	name   string
	path   string
	header string // one more request field, or ""
	goals  []goal // that edge is to reach
	note   string
}

// goal is a ratio of edge's rate to a peer's.
type goal struct {
	peer  string
	ratio float64
}

var workloads = []workload{
	{name: "respond", path: "/hello", goals: []goal{{"nginx", 0.95}},
		note: "the server's own 12-byte answer, keep-alive (nginx: return 200)"},
	{name: "file", path: "/files/hello.txt", goals: []goal{{"nginx", 0.95}}, note: "a 12-byte file, keep-alive, no open-file cache"},
	{name: "proxy", path: "/proxy/", goals: []goal{{"nginx", 0.9}, {"caddy", 5}},
		note: "reverse proxy, keep-alive on both sides; the origin (nginx) shares the load's core"},
	{name: "close", path: "/hello", header: "Connection: close", goals: []goal{{"nginx", 0.9}}, note: "as respond, a new connection for every request"},
	{name: "filter", path: "/filter/", header: "User-Agent: bench", goals: []goal{{"nginx", 1}, {"njs", 1}},
		note: "as proxy, with a filter that reads one field, and refuses or sets two (edge: Wasm from C; nginx: Lua)"},
}
