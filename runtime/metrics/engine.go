package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// family is a metric whose values a source brings.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

var (
	admissionOpen   = gauge("edge_admission_open", "1 while new connections are accepted.")
	admissionClosed = counter("edge_admission_closed_total", "Times the listeners were closed because no worker was free.")
	acceptErrors    = counter("edge_accept_errors_total", "Failed accepts.", "kind")
	queueLength     = gauge("edge_queue_length", "Connections that wait for a worker.")
	workersBusy     = gauge("edge_workers_busy", "Workers at work.")
	workersIdle     = gauge("edge_workers_idle", "Workers without work.")
	connections     = gauge("edge_connections", "Connections by what they are at.", "state")
	refused         = counter("edge_connections_refused_total", "Connections closed unserved.", "reason")
	timeouts        = counter("edge_timeouts_total", "Timeouts.", "kind")
	trims           = counter("edge_memory_trims_total", "Times that memory was given back to the system.")

	listenerOpen     = gauge("edge_listener_connections", "Open connections.", "listener")
	listenerAccepted = counter("edge_listener_connections_total", "Connections accepted.", "listener")

	tlsViolations = counter("edge_tls_violations_total", "TLS sessions ended because the client broke the rules after its handshake.")
	tlsHandshakes = counter("edge_tls_handshakes_total", "TLS handshakes, by how they ended.", "result")
	tlsInProgress = gauge("edge_tls_handshakes_in_progress", "TLS handshakes that are under way.")
	tlsWaiting    = gauge("edge_tls_handshakes_waiting", "TLS handshakes that wait for their turn.")
	tlsWaited     = counter("edge_tls_handshakes_waited_total", "TLS handshakes that had to wait for their turn.")

	certificateExpiry  = gauge("edge_certificate_expiry_timestamp_seconds", "When certificates expire.", "certificate")
	certificateReloads = counter("edge_certificate_reloads_total", "Changed certificates, taken or not.", "certificate", "result")

	parserRejects = counter("edge_parser_rejects_total", "Messages refused as malformed.", "reason")

	http2Faults = counter("edge_h2_faults_total", "What HTTP/2 clients did wrong, or often, by what it cost them.", "scope", "reason")

	upstreamRequests      = counter("edge_upstream_requests_total", "Requests sent to upstreams, by their answer.", "pool", "code")
	upstreamRetries       = counter("edge_upstream_retries_total", "Requests sent again to another server.", "pool")
	upstreamConnectErrors = counter("edge_upstream_connect_errors_total", "Connections to upstreams that failed.", "pool")
	upstreamIdle          = gauge("edge_upstream_idle", "Connections to upstreams kept for reuse.", "pool")
	upstreamFailures      = counter("edge_upstream_failures_total", "Tries that failed, by cause.", "pool", "cause")
	upstreamFaults        = counter("edge_upstream_h2_faults_total", "What servers of upstreams did wrong on HTTP/2 connections.", "pool", "scope", "reason")
	upstreamSessions      = gauge("edge_upstream_h2_connections", "HTTP/2 connections to upstreams.", "pool")
	upstreamStreams       = gauge("edge_upstream_h2_streams", "Requests on HTTP/2 connections to upstreams.", "pool")

	filterCalls     = counter("edge_filter_calls_total", "Callbacks of filters, by how they ended.", "filter", "phase", "result")
	filterTraps     = counter("edge_filter_traps_total", "Calls of filters that were ended by force.", "filter", "reason")
	filterDuration  = prometheus.NewDesc("edge_filter_call_duration_seconds", "Time of one callback in some.", []string{"filter"}, nil)
	filterFuel      = counter("edge_filter_fuel_total", "Steps of guests, as metered.", "filter")
	filterStarts    = counter("edge_filter_starts_total", "Instances of filters started.", "filter")
	filterRestores  = counter("edge_filter_restores_total", "Instances of filters put back to their snapshot after a fault.", "filter")
	filterRefused   = counter("edge_filter_host_calls_refused_total", "Host calls refused for what they asked.", "filter")
	filterDropped   = counter("edge_filter_log_dropped_total", "Log lines of guests beyond the bound of one call.", "filter")
	filterMemory    = gauge("edge_filter_memory_bytes", "Memory of a filter's instances.", "filter")
	filterSnapshot  = gauge("edge_filter_snapshot_bytes", "Memory of the snapshots that a filter's instances are restored from.", "filter")
	filterStreams   = gauge("edge_filter_streams", "Exchanges that a filter takes part in.", "filter")
	filterInstances = gauge("edge_filter_instances", "Instances of filters.", "filter")
	filterParked    = gauge("edge_filter_parked", "Streams that filters have paused.", "filter")
	filterOverQuota = counter("edge_filter_over_quota_total", "What guests were refused for a bound of what they share or send.", "filter", "kind")

	sharedItems = gauge("edge_shared_items", "Entries that guests share.", "vm_id", "filter", "kind")
	sharedBytes = gauge("edge_shared_bytes", "Bytes that guests share.", "vm_id", "filter", "kind")

	filterInfo  = gauge("edge_filter_info", "Always 1; the labels tell which module a filter runs.", "filter", "sha256")
	filterSwaps = counter("edge_filter_swaps_total", "Changed modules, by what became of them.", "filter", "result")
	moduleCache = counter("edge_module_cache_total", "What the cache of compiled modules has done.", "result")

	reloads       = counter("edge_reloads_total", "Reloads of the configuration, by what became of them.", "result")
	reloadLast    = gauge("edge_config_last_reload_successful", "1 unless the last reload failed.")
	reloadSuccess = gauge("edge_config_last_reload_success_timestamp_seconds", "When the configuration that runs was taken up.")
	configInfo    = gauge("edge_config_info", "Always 1; the label tells which configuration runs.", "sha256")

	children   = gauge("edge_children", "Processes that serve, by what they are about.", "state")
	restarts   = counter("edge_child_restarts_total", "Children that were replaced, by reason.", "reason")
	generation = gauge("edge_generation", "The number of the last generation of children.")
	upgraded   = counter("edge_upgrades_total", "Attempts to have another binary take over, by result.", "result")
	unanswered = counter("edge_children_unanswered_total", "Times a child did not say in time how it fares.")
	lost       = counter("edge_metrics_lost_total", "Series whose counts could not be kept when a child went.")

	logDropped  = counter("edge_accesslog_dropped_total", "Lines lost because the log did not keep up.")
	logFailures = counter("edge_accesslog_write_errors_total", "Writes to the log that failed.")
)

var families = []family{
	admissionOpen, admissionClosed, acceptErrors, queueLength, workersBusy, workersIdle, connections, refused, timeouts, trims,
	listenerOpen, listenerAccepted,
	tlsHandshakes, tlsViolations, tlsInProgress, tlsWaiting, tlsWaited, certificateExpiry, certificateReloads,
	parserRejects, http2Faults, upstreamRequests, upstreamRetries, upstreamConnectErrors, upstreamIdle,
	upstreamFailures, upstreamFaults, upstreamSessions, upstreamStreams,
	filterCalls, filterTraps, filterFuel, filterStarts, filterRestores, filterRefused, filterDropped,
	filterInstances, filterMemory, filterSnapshot, filterStreams, filterParked, filterInfo, filterSwaps, moduleCache, logDropped, logFailures,
	filterOverQuota, sharedItems, sharedBytes, reloads, reloadLast, reloadSuccess, configInfo,
	children, restarts, generation, upgraded, unanswered, lost,
}

// engine collects what the sources bring.
type engine struct{ set *Set }

// Describe implements prometheus.Collector.
func (engine) Describe(to chan<- *prometheus.Desc) {
	for _, f := range families {
		to <- f.desc
	}
	to <- filterDuration
}

// Collect implements prometheus.Collector.
func (c engine) Collect(to chan<- prometheus.Metric) {
	s := c.set.sources.Load()
	send := func(f family, v float64, labels ...string) {
		for i, l := range labels {
			labels[i] = strings.ToValidUTF8(l, "?")
		}
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
	}
	counts := func(f family, counts []Count, before ...string) {
		for _, c := range counts {
			send(f, float64(c.N), append(before[:len(before):len(before)], c.Label)...)
		}
	}
	if s.Engine != nil {
		e := s.Engine()
		open := 0.0
		if e.AdmissionOpen {
			open = 1
		}
		send(admissionOpen, open)
		send(admissionClosed, float64(e.AdmissionClosed))
		counts(acceptErrors, e.AcceptErrors)
		send(queueLength, float64(e.QueueLength))
		send(workersBusy, float64(e.WorkersBusy))
		send(workersIdle, float64(e.WorkersIdle))
		counts(connections, e.Connections)
		counts(refused, e.Refused)
		counts(timeouts, e.Timeouts)
		send(trims, float64(e.Trims))
	}
	if s.Listeners != nil {
		for _, l := range s.Listeners() {
			send(listenerOpen, float64(l.Open), l.Name)
			send(listenerAccepted, float64(l.Accepted), l.Name)
		}
	}
	if s.TLS != nil {
		t := s.TLS()
		counts(tlsHandshakes, t.Handshakes)
		send(tlsViolations, float64(t.Violations))
		send(tlsInProgress, float64(t.InProgress))
		send(tlsWaiting, float64(t.Waiting))
		send(tlsWaited, float64(t.Waited))
		for _, c := range t.Certificates {
			send(certificateExpiry, float64(c.Expires.Unix()), c.Name)
			counts(certificateReloads, c.Reloads, c.Name)
		}
	}
	if s.Parser != nil {
		counts(parserRejects, s.Parser())
	}
	if s.HTTP2 != nil {
		for _, f := range s.HTTP2() {
			send(http2Faults, float64(f.N), f.Scope, f.Reason)
		}
	}
	if s.Upstreams != nil {
		for _, u := range s.Upstreams() {
			counts(upstreamRequests, u.Requests, u.Pool)
			send(upstreamRetries, float64(u.Retries), u.Pool)
			send(upstreamConnectErrors, float64(u.ConnectErrors), u.Pool)
			send(upstreamIdle, float64(u.Idle), u.Pool)
			counts(upstreamFailures, u.Failures, u.Pool)
			for _, f := range u.HTTP2 {
				send(upstreamFaults, float64(f.N), u.Pool, f.Scope, f.Reason)
			}
			send(upstreamSessions, float64(u.Sessions), u.Pool)
			send(upstreamStreams, float64(u.Streams), u.Pool)
		}
	}
	if s.Filters != nil {
		for _, f := range s.Filters() {
			for _, c := range f.Calls {
				send(filterCalls, float64(c.N), f.Name, c.Phase, c.Result)
			}
			to <- f.Durations.metric(filterDuration, strings.ToValidUTF8(f.Name, "?"))
			counts(filterTraps, f.Traps, f.Name)
			send(filterFuel, float64(f.Fuel), f.Name)
			send(filterStarts, float64(f.Starts), f.Name)
			send(filterRestores, float64(f.Restores), f.Name)
			send(filterSnapshot, float64(f.Snapshot), f.Name)
			send(filterRefused, float64(f.Refused), f.Name)
			send(filterDropped, float64(f.LogDropped), f.Name)
			send(filterInstances, float64(f.Instances), f.Name)
			send(filterMemory, float64(f.Memory), f.Name)
			send(filterStreams, float64(f.Streams), f.Name)
			send(filterParked, float64(f.Parked), f.Name)
			counts(filterOverQuota, f.OverQuota, f.Name)
			if f.SHA256 != "" {
				send(filterInfo, 1, f.Name, f.SHA256)
			}
		}
	}
	if s.Swaps != nil {
		for _, w := range s.Swaps() {
			counts(filterSwaps, w.Results, w.Filter)
		}
	}
	if s.Reloads != nil {
		r := s.Reloads()
		counts(reloads, r.Results)
		last := 0.0
		if r.Last {
			last = 1
		}
		send(reloadLast, last)
		send(reloadSuccess, float64(r.Since.UnixMilli())/1000)
		send(configInfo, 1, r.SHA256)
	}
	if s.Control != nil {
		n := s.Control()
		counts(children, n.Children)
		counts(restarts, n.Restarts)
		send(generation, float64(n.Generation))
		counts(upgraded, n.Upgrades)
		send(unanswered, float64(n.Unanswered))
		send(lost, float64(n.Lost))
	}
	if s.Shared != nil {
		for _, u := range s.Shared() {
			counts(sharedItems, u.Items, u.VMID, u.Filter)
			counts(sharedBytes, u.Bytes, u.VMID, u.Filter)
		}
	}
	if s.Cache != nil {
		counts(moduleCache, s.Cache())
	}
	if s.LogDropped != nil {
		send(logDropped, float64(s.LogDropped()))
	}
	if s.LogFailures != nil {
		send(logFailures, float64(s.LogFailures()))
	}
}

// metric is the histogram as a scrape shows it.
func (h *Histogram) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	upTo := make(map[float64]uint64, len(h.Bounds))
	count := uint64(0)
	for i, n := range h.Counts {
		count += n
		if i < len(h.Bounds) {
			upTo[h.Bounds[i].Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(desc, count, h.Sum.Seconds(), upTo, labels...)
}
