// Package metrics counts, and shows the counts in Prometheus's text format. What happens for every request is counted
// in a [Shard] that one worker owns. What the engine, the upstreams and the filters count themselves is read at
// the scrape through functions that the wiring sets ([Sources]), so that this package imports none of them.
package metrics

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// ContentType is the media type of what [Set.Write] writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// MaxRoutes is how many route names a process can tell apart over its life, across reloads; further ones are counted
// together as _OTHER.
const MaxRoutes = 1024

// otherRoute is the route of what has no route of its own.
const otherRoute Route = 0

// Set is all the metrics of a process. It is safe for use by several goroutines at once.
type Set struct {
	registry *prometheus.Registry
	sources  atomic.Pointer[Sources]

	mu     sync.Mutex // guards the fields below; a scrape takes copies
	routes []string
	shards []*Shard
}

// New makes a set. version is the program's, for edge_build_info.
func New(version string) *Set {
	s := &Set{registry: prometheus.NewRegistry(), routes: []string{"_OTHER"}}
	s.sources.Store(&Sources{})
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "edge_build_info", Help: "Always 1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": strings.ToValidUTF8(version, "?"), "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	s.registry.MustRegister(build, requests{s}, engine{s}, guests{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// Route is the index of a route's name: the same one for the same name, whatever reloads happen between. The empty
// name is that of requests without a route.
func (s *Set) Route(name string) Route {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.ToValidUTF8(name, "?")
	if i := slices.Index(s.routes, name); i >= 0 {
		return Route(i)
	}
	if len(s.routes) == MaxRoutes {
		return otherRoute
	}
	s.routes = append(s.routes, strings.Clone(name))
	return Route(len(s.routes) - 1)
}

// NewShard makes a worker's shard. It stays part of the set for good: a worker that ends leaves its counts.
func (s *Set) NewShard() *Shard {
	shard := new(Shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards = append(s.shards, shard)
	return shard
}

// SetSources says where the scrape reads what others count. Functions left nil bring no metrics.
func (s *Set) SetSources(sources Sources) { s.sources.Store(&sources) }

// Write writes every metric in the text format, version 0.0.4. What can be written is, though a source has brought
// something that contradicts itself; the error tells of that.
func (s *Set) Write(w io.Writer) error {
	families, err := s.registry.Gather()
	var out bytes.Buffer
	for _, f := range families {
		if _, e := expfmt.MetricFamilyToText(&out, f); e != nil && err == nil {
			err = e
		}
	}
	if _, e := w.Write(out.Bytes()); e != nil {
		return e
	}
	return err
}

// snapshot is the routes and shards of now.
func (s *Set) snapshot() ([]string, []*Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routes[:len(s.routes):len(s.routes)], s.shards[:len(s.shards):len(s.shards)]
}
