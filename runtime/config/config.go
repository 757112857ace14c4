// Package config reads edge.toml: its types, its defaults, its checks, and where in the file things are.
//
// A [Config] holds plain values. It is not changed after Load or Parse has returned it, and may be read from anywhere.
// Names that point elsewhere in the file (a route's upstream, its filters) are known to exist. Paths are as the file
// gives them, or joined to the file's directory where they are relative.
package config

import (
	"net/netip"
	"time"
)

// Config is one checked configuration with every default filled in.
type Config struct {
	File         string // the name given to Load or Parse
	SHA256       string // of the file's text, in lower-case hex
	Server       Server
	Limits       Limits
	Log          Log
	Listen       []Listen
	Certificates []Certificate // in file order, as all lists here
	Upstreams    []Upstream
	Filters      []Filter
	Routes       []Route

	// Warnings are what is valid but likely not meant. They never keep a configuration from being used.
	Warnings Problems

	where *mark
}

// Server is [server]: process level; a change starts a new generation.
type Server struct {
	Children               int   // P1
	Pollers                int   // E1: 0 is one per CPU, at most MaxPollers, never more than Workers
	Workers                int   // E5: 1…MaxWorkers
	MaxConnectionsPerChild int64 // P3: 0 is never

	HandshakeTimeout time.Duration // from a connection's first byte to the end of its TLS handshake, absolute
	HeaderTimeout    time.Duration // from the first byte to the whole head, absolute
	Timeout          time.Duration // C1, C2: for the client's next bytes, or for it to take ours
	KeepaliveTimeout time.Duration // C3
	LingerTimeout    time.Duration // C7
	ShutdownTimeout  time.Duration // P4

	Cache string // where compiled modules are kept: a path, "auto", or "" for nowhere

	Watch bool // a module's file that changes is taken up

	PidFile string // "" is none
	User    string // P2; "" is unchanged
	Group   string
	Sandbox bool    // children reach only what the configuration names
	Admin   Address // where status and metrics are served; the zero Address is off

	// TrustedProxies are the peers whose X-Forwarded-* and X-Request-Id fields are kept and added to (threat U87);
	// everybody else's are overwritten.
	TrustedProxies []netip.Prefix
}

// Limits is [limits].
type Limits struct {
	HeaderBytes Size // a head's field lines together; 431
	HeaderCount int  // field lines of a head; 431
	URIBytes    Size // the target; 414
	RequestBody Size // 413; Unlimited by default
	MinRate     Rate // a body or an answer that moves slower is cut off; the zero Rate is no bound
	Connections int  // client connections of the process
}

// Log is [log].
type Log struct {
	Access string // a file's path, "stdout", "off"
	Format string // "json", "common", "combined"
	Level  string // "trace", "debug", "info", "warn", "error": the server's own log, on standard error
}

// Listen is one [[listen]].
type Listen struct {
	Address      string         // as written; stands in logs and metrics
	AddrPort     netip.AddrPort // what to bind; "[::]:port" (both families) where the host is left out
	Protocols    []string       // "http/1.1", "h2c", "h2"
	Certificates []string       // names; none: no TLS
	MinTLS       string         // "1.2", "1.3"
}

// Certificate is one [certificates.name].
type Certificate struct {
	Name        string
	Certificate string // path, or "self-signed"
	Key         string // path
	ClientCA    string // path of the CAs that clients' certificates are checked against; "" asks for none
	ClientAuth  string // "required", "optional"; "" without ClientCA
}

// Upstream is one [upstreams.name].
type Upstream struct {
	Name            string
	Servers         []UpstreamServer // at least one
	Balance         Balance
	Keepalive       int           // idle connections kept per poller; 0 keeps none
	ConnectTimeout  time.Duration // of one try
	ResponseTimeout time.Duration // from the request's end to the response's head
	StreamTimeout   time.Duration // longest silence of both sides within a call of gRPC, in place of Server.Timeout
	Retries         int           // further tries of a safe request, each on another server
	TLS             UpstreamTLS   // for its https:// servers
	HTTP2           bool          // asked of them first
}

// UpstreamTLS is how edge speaks TLS with an upstream.
type UpstreamTLS struct {
	CA          string // path of the authorities that the servers' certificates are checked against; "" is the system's
	Certificate string // path of edge's own; "" shows none
	Key         string // path
	ServerName  string // asked for, and looked for in the certificate; "" is the address's host
	Insecure    bool   // nothing is checked
}

// Files are the paths, "" where there is none.
func (t *UpstreamTLS) Files() [3]string { return [3]string{t.CA, t.Certificate, t.Key} }

// UpstreamServer is one server of an upstream.
type UpstreamServer struct {
	Address Address
	Weight  int // 1…MaxWeight
}

// Balance is how an upstream picks a server.
type Balance struct {
	Kind   string // "round_robin", "least_requests", "random2", "hash"
	Header string // of "hash": lower-case field name; "" is the client's IP address
}

// Filter is one [filters.name]: a Wasm module or a native filter.
type Filter struct {
	Name   string
	Module string // path of a Wasm module, or "builtin:name"; "" for a native filter
	Native string // name of the native filter; "" for a module
	SHA256 string // pin of the module in lower-case hex, already compared for a path; "" is none

	Config   []byte         // given to a module
	Settings map[string]any // given to a native filter: string, int64, float64, bool, []any, map[string]any, time.Time

	RootID   string // which of a module's filters, where it has several
	VMID     string // filters of one share data and queues; "" shares with nobody
	VMConfig string // given to a module's proxy_on_vm_start

	Lanes     int    // instances of a Proxy-Wasm guest; 0 is one per CPU
	Instances int    // most instances of an http-wasm guest
	LogLevel  string // least level that the guest's lines are logged at; "" is that of [log]

	Background     bool // works without requests only: no route names it
	FailOpen       bool // on_failure = "open"
	IsolateStreams bool // isolation = "stream"
	Limits         FilterLimits
	AllowUpstreams []string // what it may call
}

// FilterLimits are the bounds of one filter.
type FilterLimits struct {
	CPU       time.Duration // per call
	Memory    Size          // of one instance
	CallDepth int           // nested guest calls
	Pause     time.Duration // longest pause of a stream; 504
	Body      Size          // most of a body held in a pause; 413, 502
}

// Route is one [[routes]]. Exactly one of Upstream, Files, Respond and Redirect is set.
type Route struct {
	Name    string // as written, or "routes[i]"
	Match   Match
	Filters []FilterUse // in request order

	Upstream string
	Files    *Files
	Respond  *Respond
	Redirect *Redirect
}

// Action is "upstream", "files", "respond" or "redirect".
func (r *Route) Action() string {
	switch {
	case r.Upstream != "":
		return "upstream"
	case r.Files != nil:
		return "files"
	case r.Respond != nil:
		return "respond"
	}
	return "redirect"
}

// Match is what a route's requests are like; its fields mean what package route says.
type Match struct {
	Hosts   []string // lower case
	Path    string
	Methods []string
	Headers map[string]string // by lower-case name
}

// FilterUse is a filter in a route, with what the route changes of it.
type FilterUse struct {
	Name     string
	Config   []byte         // in place of the filter's own; nil leaves that
	Settings map[string]any // likewise, of a native filter
}

// Files is the action that serves a directory.
type Files struct {
	Root          string
	Strip         string   // cut off the path's front before it is looked up below Root
	Index         []string // tried in order in a directory
	Precompressed bool     // serve name.br, name.zst, name.gz where the client accepts it
}

// Respond is the action that answers with a fixed response.
type Respond struct {
	Status  int         // 200…599
	Headers [][2]string // lower-case name, value; sorted
	Body    []byte
}

// Redirect is the action that sends the client elsewhere; To is as package route says.
type Redirect struct {
	To     string
	Status int // 301, 302, 303, 307, 308
}

// Upstream returns the upstream of that name, or nil.
func (c *Config) Upstream(name string) *Upstream {
	for i := range c.Upstreams {
		if c.Upstreams[i].Name == name {
			return &c.Upstreams[i]
		}
	}
	return nil
}

// Filter returns the filter of that name, or nil.
func (c *Config) Filter(name string) *Filter {
	for i := range c.Filters {
		if c.Filters[i].Name == name {
			return &c.Filters[i]
		}
	}
	return nil
}
