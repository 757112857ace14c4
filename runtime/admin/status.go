package admin

import "time"

// Status is what /status.json shows, of one process or, added up, of all children (see Totals): counters since it began, and gauges of
// now. Who reads it twice and divides the difference by that of Now has rates. docs/metrics.md says what the fields mean to users.
type Status struct {
	Version string    `json:"version"`
	Go      string    `json:"go"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	Config  string    `json:"config"`

	ConfigSHA256 string        `json:"config_sha256"`
	ConfigSince  time.Time     `json:"config_since"` // when it was taken up
	LastReload   *ReloadStatus `json:"last_reload"`  // nil: none has looked at a configuration

	Engine   string `json:"engine"` // what runs Wasm: "compiler" or "interpreter", which is said where any child has it
	Draining bool   `json:"draining"`
	NotReady string `json:"not_ready"` // why no traffic should come, as /readyz says; "": it may

	Sandbox *SandboxStatus `json:"sandbox"` // nil: there are no children

	NotAccepting    bool              `json:"not_accepting"`
	AdmissionClosed uint64            `json:"admission_closed"`
	Connections     int               `json:"connections"`
	ConnectionLimit int               `json:"connection_limit"`
	ByPhase         map[string]uint64 `json:"connections_by_phase"`
	Queue           int               `json:"queue"`
	Workers         int               `json:"workers"`
	WorkersIdle     int               `json:"workers_idle"`
	Pollers         int               `json:"pollers"`
	Goroutines      int               `json:"goroutines"`
	MemoryBytes     uint64            `json:"memory_bytes"` // that Go has from the system

	InFlight      uint64    `json:"requests_in_flight"`
	RequestBounds []float64 `json:"request_bounds_seconds"` // of the durations of routes
	CallBounds    []float64 `json:"call_bounds_seconds"`    // of those of filters

	Children []ChildStatus `json:"children"` // empty where one process does everything

	Routes    []RouteStatus    `json:"routes"`
	Upstreams []UpstreamStatus `json:"upstreams"`
	Filters   []FilterStatus   `json:"filters"`
	Listeners []ListenerStatus `json:"listeners"`
	TLS       TLSStatus        `json:"tls"`

	Problems []Problem `json:"problems"`
}

// Durations is a histogram: how many there were up to each bound, and in the last place how many above them all.
type Durations struct {
	Counts     []uint64 `json:"counts"`
	SumSeconds float64  `json:"sum_seconds"`
}

// RouteStatus are the requests of one route that are over.
type RouteStatus struct {
	Name          string            `json:"name"`      // "": none matched
	Codes         map[string]uint64 `json:"codes"`     // by class: "2xx", "none"
	Protocols     map[string]uint64 `json:"protocols"` // "http/1.1", "h2"
	Durations     Durations         `json:"durations"`
	RequestBytes  uint64            `json:"request_bytes"`
	ResponseBytes uint64            `json:"response_bytes"`
}

// UpstreamStatus is one pool.
type UpstreamStatus struct {
	Name          string            `json:"name"`
	Codes         map[string]uint64 `json:"codes"`
	Retries       uint64            `json:"retries"`
	ConnectErrors uint64            `json:"connect_errors"`
	Idle          int               `json:"idle"`
}

// FilterStatus is a Wasm filter: all its guests added up, those of versions before as well that streams still use.
type FilterStatus struct {
	Name      string            `json:"name"`
	SHA256    string            `json:"sha256"`
	ABI       string            `json:"abi"`
	Guests    int               `json:"guests"` // routes that set it up for themselves have one each
	Lanes     int               `json:"lanes"`
	Instances int               `json:"instances"`
	Memory    int               `json:"memory_bytes"`
	Streams   int               `json:"streams"`
	Parked    int               `json:"parked"`
	Calls     uint64            `json:"calls"`
	Waits     uint64            `json:"waits"`
	Results   map[string]uint64 `json:"results"`
	Durations Durations         `json:"durations"` // of some of the calls
	Fuel      uint64            `json:"fuel"`
	Starts    uint64            `json:"starts"`
	Restores  uint64            `json:"restores"`
	Refused   uint64            `json:"host_calls_refused"`
	Faults    map[string]uint64 `json:"faults"` // by cause
	LastFault *FaultStatus      `json:"last_fault,omitempty"`
	LastSwap  *SwapStatus       `json:"last_swap,omitempty"`
}

// FaultStatus is a call that was ended by force.
type FaultStatus struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id,omitempty"`
	Phase     string    `json:"phase"`
	Cause     string    `json:"cause"`
	Error     string    `json:"error"`
}

// SwapStatus is what became of a changed module.
type SwapStatus struct {
	Time   time.Time `json:"time"`
	Result string    `json:"result"`
	SHA256 string    `json:"sha256,omitempty"` // of the new version, where it could be read
	Error  string    `json:"error,omitempty"`
}

// ListenerStatus is a listening address.
type ListenerStatus struct {
	Address   string   `json:"address"`
	Protocols []string `json:"protocols"`
	TLS       bool     `json:"tls"`
	Open      int      `json:"open"`
	Accepted  uint64   `json:"accepted"`
}

// TLSStatus is what happened on the listeners that speak TLS.
type TLSStatus struct {
	Handshakes   map[string]uint64   `json:"handshakes"` // by result
	InProgress   int                 `json:"in_progress"`
	Waiting      int                 `json:"waiting"`
	Certificates []CertificateStatus `json:"certificates"`
}

// CertificateStatus is a certificate of the configuration.
type CertificateStatus struct {
	Name    string    `json:"name"`
	Expires time.Time `json:"expires"`
}

// SandboxStatus is how children are confined.
type SandboxStatus struct {
	State    string   `json:"state"`    // SandboxOn, SandboxPartly, SandboxOff
	UID      int      `json:"uid"`      // theirs
	Landlock int      `json:"landlock"` // the version of its interface; 0: none
	Seccomp  bool     `json:"seccomp"`  // of all children that serve, as the kernel says
	Missing  []string `json:"missing"`  // what this kernel does not have
}

// The states of children's confinement.
const (
	SandboxOn     = "on"
	SandboxPartly = "partly" // something is missing
	SandboxOff    = "off"
)

// ReloadStatus is what became of a reload.
type ReloadStatus struct {
	Time     time.Time `json:"time"`
	Result   string    `json:"result"` // "done", "failed"
	Config   string    `json:"config"`
	SHA256   string    `json:"sha256"`
	TookMS   float64   `json:"took_ms"`
	Problems []string  `json:"problems,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Restart  []string  `json:"needs_restart,omitempty"`
}

// Problem is something that was counted and should not be: a timeout, a malformed request, a lost line of the log.
type Problem struct {
	Kind   string `json:"kind"` // the name of its metric, without edge_ and _total
	Reason string `json:"reason,omitempty"`
	N      uint64 `json:"n"`
}
