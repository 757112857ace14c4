package main

// hello is the small answer of every workload: 12 bytes.
const hello = "hello world\n"

// largeBytes is the length of a large answer.
const largeBytes = 200 << 10

// h2Connections are the connections of a load of HTTP/2. Of 25 streams each they keep more requests on their way to the origin at a time
// than the usual 64 idle connections are for: all servers keep 2,048.
const h2Connections = 50

// workload is one table of the report.
type workload struct {
	name   string
	path   string
	header string // one more request field, or ""
	secure bool   // over TLS
	h2     int    // HTTP/2, with so many streams a connection; 0 is HTTP/1.1
	large  bool   // the answer is largeBytes long
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
	{name: "h2", path: "/hello", secure: true, h2: 25, goals: []goal{{"nginx", 3}},
		note: "the server's own 12-byte answer by HTTP/2 over TLS, 50 connections of 25 streams (h2load)"},
	{name: "h2-large", path: "/files/large", secure: true, h2: 5, large: true, goals: []goal{{"nginx", 1}},
		note: "a file of 200 KB by HTTP/2 over TLS, 50 connections of 5 streams (h2load)"},
	{name: "h2-proxy", path: "/proxy/", secure: true, h2: 25, goals: []goal{{"nginx", 1.5}},
		note: "reverse proxy, HTTP/2 over TLS to HTTP/1.1, 50 connections of 25 streams (h2load)"},
	{name: "handshake", path: "/hello", header: "Connection: close", secure: true, goals: []goal{{"nginx", 0.8}},
		note: "as close, over TLS: a full handshake for every request, the same certificate (P-256) and curve (X25519)"},
}
