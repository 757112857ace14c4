package metrics

import "time"

// Sources are the functions a scrape calls. Each may be called from any goroutine, by several scrapes at once, must
// not block, and returns values that the caller may keep. Label values come from the configuration or from fixed lists,
// never from clients; those of GuestMetrics come from guests, which their host bounds.
type Sources struct {
	Engine      func() Engine
	Listeners   func() []Listener
	TLS         func() TLS
	Parser      func() []Count // edge_parser_rejects_total, by reason
	HTTP2       func() []Fault // edge_h2_faults_total
	Upstreams   func() []Upstream
	Filters     func() []Filter
	Swaps       func() []Swaps
	Reloads     func() Reloads
	Cache       func() []Count // edge_module_cache_total, by result
	LogDropped  func() uint64  // edge_accesslog_dropped_total
	LogFailures func() uint64  // edge_accesslog_write_errors_total
	Shared      func() []Shared

	GuestMetrics func() []GuestMetric

	Control func() Control
}

// Control is what a control process knows of its children.
type Control struct {
	Children   []Count // edge_children, by state
	Restarts   []Count // edge_child_restarts_total, by reason
	Generation int     // edge_generation: the number of the last
	Unanswered uint64  // edge_children_unanswered_total
	Lost       uint64  // edge_metrics_lost_total
	Upgrades   []Count // edge_upgrades_total, by result
}

// Count is a counter's or gauge's value under one label.
type Count struct {
	Label string
	N     uint64
}

// Fault is how often something was wrong, or odd, for one reason, and what it cost.
type Fault struct {
	Scope, Reason string
	N             uint64
}

// Engine is what the engine of this process counts.
type Engine struct {
	AdmissionOpen   bool    // edge_admission_open
	AdmissionClosed uint64  // edge_admission_closed_total: how many times the door was closed
	AcceptErrors    []Count // edge_accept_errors_total, by kind
	QueueLength     int     // edge_queue_length: connections that wait for a worker
	WorkersBusy     int     // edge_workers_busy
	WorkersIdle     int     // edge_workers_idle
	Connections     []Count // edge_connections, by state
	Refused         []Count // edge_connections_refused_total, by reason
	Timeouts        []Count // edge_timeouts_total, by kind
	Trims           uint64
}

// Listener is what happened on one listening socket.
type Listener struct {
	Name     string // its address in the configuration
	Open     int    // edge_listener_connections
	Accepted uint64 // edge_listener_connections_total
}

// TLS is what happened on the listeners that speak TLS.
type TLS struct {
	Handshakes   []Count // edge_tls_handshakes_total, by result
	InProgress   int     // edge_tls_handshakes_in_progress
	Waiting      int     // edge_tls_handshakes_waiting
	Waited       uint64  // edge_tls_handshakes_waited_total
	Violations   uint64  // edge_tls_violations_total
	Certificates []Certificate
}

// Certificate is one certificate.
type Certificate struct {
	Name    string
	Expires time.Time // edge_certificate_expiry_timestamp_seconds
	Reloads []Count   // edge_certificate_reloads_total, by result
}

// Upstream is what happened with one pool of servers.
type Upstream struct {
	Pool          string
	Requests      []Count // edge_upstream_requests_total, by code
	Retries       uint64  // edge_upstream_retries_total
	ConnectErrors uint64  // edge_upstream_connect_errors_total
	Failures      []Count // edge_upstream_failures_total, by cause
	HTTP2         []Fault // edge_upstream_h2_faults_total
	Idle          int     // edge_upstream_idle: connections kept for reuse
	Sessions      int     // edge_upstream_h2_connections
	Streams       int     // edge_upstream_h2_streams: requests on them, or waiting for them
}

// Filter is what happened in one filter.
type Filter struct {
	Name       string
	SHA256     string // of the module that runs, edge_filter_info; "": none does
	Calls      []Call
	Durations  Histogram // edge_filter_call_duration_seconds
	Traps      []Count   // edge_filter_traps_total, by reason
	Fuel       uint64    // edge_filter_fuel_total, in the meter's ticks
	Starts     uint64    // edge_filter_starts_total: instances started
	Restores   uint64    // edge_filter_restores_total: instances put back to their snapshot after a fault
	Refused    uint64    // edge_filter_host_calls_refused_total
	LogDropped uint64    // edge_filter_log_dropped_total: a guest's lines beyond the bound of one call
	Instances  int       // edge_filter_instances
	Memory     int       // edge_filter_memory_bytes
	Snapshot   int       // edge_filter_snapshot_bytes
	Streams    int       // edge_filter_streams
	Parked     int       // edge_filter_parked: streams that the filter has paused
	OverQuota  []Count   // edge_filter_over_quota_total, by kind
}

// Swaps are what has become of changed modules of one filter.
type Swaps struct {
	Filter  string
	Results []Count // edge_filter_swaps_total, by result
}

// Reloads are what has become of the configuration.
type Reloads struct {
	Results []Count   // edge_reloads_total, by result
	Last    bool      // edge_config_last_reload_successful
	Since   time.Time // edge_config_last_reload_success_timestamp_seconds: when what runs was taken up
	SHA256  string    // edge_config_info: of the file's text
}

// Histogram is how many durations there were up to each bound, in ascending order; the last count is above every bound.
type Histogram struct {
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// Call is how many callbacks of a filter ended one way.
type Call struct {
	Phase  string // request_head, request_body …
	Result string // continue, pause, respond, fail …
	N      uint64
}

// Shared is what the filters of one vm_id, or a filter by itself, keep in shared data and queues.
type Shared struct {
	VMID, Filter string  // one of them
	Items        []Count // edge_shared_items, by kind
	Bytes        []Count // edge_shared_bytes, by kind
}
