package metrics

import "github.com/prometheus/client_golang/prometheus"

var (
	requestsTotal = prometheus.NewDesc("edge_http_requests_total", "Requests answered.",
		[]string{"route", "code", "method", "protocol"}, nil)
	inFlight = prometheus.NewDesc("edge_http_requests_in_flight", "Requests begun and not ended.", nil, nil)
	duration = prometheus.NewDesc("edge_http_request_duration_seconds",
		"Time from a request's first byte to its response's last.", []string{"route"}, nil)
	requestBytes = prometheus.NewDesc("edge_http_request_bytes_total", "Bytes of request bodies received.",
		[]string{"route"}, nil)
	responseBytes = prometheus.NewDesc("edge_http_response_bytes_total", "Bytes of response bodies sent.",
		[]string{"route"}, nil)
)

// requests collects what the shards have counted.
type requests struct{ set *Set }

// Describe implements prometheus.Collector.
func (requests) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsTotal, inFlight, duration, requestBytes, responseBytes} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c requests) Collect(to chan<- prometheus.Metric) {
	routes, shards := c.set.snapshot()
	over := uint64(0)
	for i, name := range routes {
		if parts := partsOf(shards, i); len(parts) > 0 {
			over += collectRoute(to, name, parts)
		}
	}
	to <- prometheus.MustNewConstMetric(inFlight, prometheus.GaugeValue, float64(inFlightOf(shards, over)))
}

// collectRoute sends the sums of all workers' counts of one route, and returns how many requests they are.
func collectRoute(to chan<- prometheus.Metric, name string, parts []*routeCounts) (over uint64) {
	for combination := range parts[0].codes {
		var sums [codeSlots]uint64
		for _, p := range parts {
			if codes := p.codes[combination].Load(); codes != nil {
				for slot := range codes {
					sums[slot] += codes[slot].Load()
				}
			}
		}
		method, protocol := methodNames[combination/int(protocols)], protocolNames[combination%int(protocols)]
		for slot, n := range sums {
			if n > 0 {
				to <- prometheus.MustNewConstMetric(requestsTotal, prometheus.CounterValue, float64(n),
					name, labelOfSlot[slot], method, protocol)
			}
		}
	}

	t := bodyTotals(parts)
	to <- t.Durations.metric(duration, name)
	to <- prometheus.MustNewConstMetric(requestBytes, prometheus.CounterValue, float64(t.RequestBytes), name)
	to <- prometheus.MustNewConstMetric(responseBytes, prometheus.CounterValue, float64(t.ResponseBytes), name)
	for _, n := range t.Durations.Counts {
		over += n
	}
	return over
}
