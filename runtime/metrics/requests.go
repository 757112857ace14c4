package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

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
		var parts []*routeCounts
		for _, s := range shards {
			if r := s.routes[i].Load(); r != nil {
				parts = append(parts, r)
			}
		}
		if len(parts) > 0 {
			over += collectRoute(to, name, parts)
		}
	}
	// What is over is read before what has begun: the difference is below zero only if Begin was left out.
	begun := uint64(0)
	for _, s := range shards {
		begun += s.begun.Load()
	}
	to <- prometheus.MustNewConstMetric(inFlight, prometheus.GaugeValue, float64(max(int64(begun-over), 0)))
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

	var nanos, in, out, count uint64
	var inBucket [len(buckets) + 1]uint64
	for _, p := range parts {
		for i := range inBucket {
			inBucket[i] += p.durations[i].Load()
		}
		nanos += p.durationNanos.Load()
		in += p.requestBytes.Load()
		out += p.responseBytes.Load()
	}
	upTo := make(map[float64]uint64, len(buckets))
	for i, n := range inBucket {
		count += n
		if i < len(buckets) {
			upTo[buckets[i].Seconds()] = count
		}
	}
	to <- prometheus.MustNewConstHistogram(duration, count, float64(nanos)/float64(time.Second), upTo, name)
	to <- prometheus.MustNewConstMetric(requestBytes, prometheus.CounterValue, float64(in), name)
	to <- prometheus.MustNewConstMetric(responseBytes, prometheus.CounterValue, float64(out), name)
	return count
}
