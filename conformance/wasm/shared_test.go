package wasm

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"edge/conformance/rig"
)

// sharedCases are those of the host calls whose work outlives a stream. They run in order, several times.
var sharedCases = []exchange{
	{name: "shared data", do: "request_headers: proxy_set_shared_data 'k' 'one' 0; proxy_get_shared_data 'k' ?? ?c; proxy_set_shared_data 'k' 'two' $c; " +
		"proxy_set_shared_data 'k' 'three' $c; proxy_get_shared_data 'k' ?? ?; proxy_get_shared_data 'none' ?? ?; say",
		want: []string{"set_shared_data=0 get_shared_data=0:one:", " set_shared_data=0 set_shared_data=8 get_shared_data=0:two:", "get_shared_data=1:"}},
	{name: "queue", do: "request_headers: proxy_register_shared_queue 'q' ?q; proxy_resolve_shared_queue '' 'q' ?r; proxy_enqueue_shared_queue $q 'item'; " +
		"proxy_dequeue_shared_queue $r ??; proxy_dequeue_shared_queue $q ??; proxy_enqueue_shared_queue 0 'x'; proxy_resolve_shared_queue '' 'none' ?; say",
		want: []string{"register_shared_queue=0:", "enqueue_shared_queue=0 dequeue_shared_queue=0:item dequeue_shared_queue=7: enqueue_shared_queue=1 resolve_shared_queue=1"}},
	{name: "counter", do: "request_headers: proxy_define_metric 0 'page=.=a b;.;visits' ?m; proxy_increment_metric $m 3; proxy_record_metric $m 4; " +
		"proxy_increment_metric $m 0; proxy_get_metric $m ?8; proxy_get_metric 999999 ?8; proxy_define_metric 3 'x' ?; say",
		want: []string{"define_metric=0:", "increment_metric=0 record_metric=0 increment_metric=2 get_metric=0:", "get_metric=1", "define_metric=2"}},
	{name: "gauge and histogram", do: "request_headers: proxy_define_metric 1 'depth' ?g; proxy_record_metric $g 7; proxy_get_metric $g ?8; " +
		"proxy_define_metric 2 'took.ms' ?h; proxy_record_metric $h 7; proxy_increment_metric $h 1; proxy_get_metric $h ?8; say",
		want: []string{"record_metric=0 get_metric=0:7 define_metric=0:", "record_metric=0 increment_metric=2 get_metric=2"}},
	{name: "foreign functions", do: "request_headers: proxy_call_foreign_function 'clear_route_cache' '' ??; proxy_call_foreign_function 'compress' 'text' 0 0; " +
		"proxy_call_foreign_function 'uncompress' 'text' ??; proxy_call_foreign_function 'none' '' ??; say",
		want: []string{"call_foreign_function=0: call_foreign_function=0 call_foreign_function=3: call_foreign_function=1:"}},
}

// Filters of one vm_id have one store and one set of queues, others have their own; what guests count is in a scrape, by filter.
func TestWhatGuestsShare(t *testing.T) {
	origin := rig.NewOrigin(t, talk)
	b := &bed{origin: origin, Edge: rig.Start(t, rig.Config{Rest: app(origin) +
		probeFilter(t, "one", "0.2.1", "", "vm_id = \"team\"\nroot_id = \"first\"\nlanes = 4\n") + probeFilter(t, "two", "0.2.1", "", "vm_id = \"team\"\n") +
		probeFilter(t, "other", "0.2.1", "", "lanes = 2\n") +
		route("/probe/one", "one") + route("/probe/two", "two") + route("/probe/other", "other")})}

	b.run(t, exchange{path: "one", do: "request_headers: proxy_set_shared_data 'k' 'of the team' 0; proxy_register_shared_queue 'q' ?q; " +
		"proxy_enqueue_shared_queue $q 'item'; proxy_get_property 'plugin_vm_id' ??; proxy_get_property 'plugin_root_id' ??; say",
		want: []string{"set_shared_data=0", "enqueue_shared_queue=0", "get_property=0:team get_property=0:first"}})
	b.run(t, exchange{path: "other", do: "request_headers: proxy_get_shared_data 'k' ?? ?; proxy_set_shared_data 'k' 'mine' 0; proxy_resolve_shared_queue '' 'q' ?; say",
		want: []string{"get_shared_data=1:", "set_shared_data=0 resolve_shared_queue=1"}})
	b.run(t, exchange{path: "two", do: "request_headers: proxy_get_shared_data 'k' ?? ?; proxy_resolve_shared_queue '' 'q' ?q; proxy_dequeue_shared_queue $q ??; say",
		want: []string{"get_shared_data=0:of the team:", "dequeue_shared_queue=0:item"}})
	b.run(t, exchange{path: "other", do: "request_headers: proxy_resolve_shared_queue 'team' 'q' ?q; proxy_dequeue_shared_queue $q ??; proxy_enqueue_shared_queue $q 'x'; say",
		want: []string{"resolve_shared_queue=0:", "dequeue_shared_queue=7: enqueue_shared_queue=0"}})

	const crowd, each = 8, 10
	var all sync.WaitGroup
	for c := range crowd {
		path := []string{"one", "two"}[c%2]
		all.Go(func() {
			for range each {
				b.run(t, exchange{path: path, do: "request_headers: proxy_define_metric 0 'page=.=a b;.;visits' ?m; proxy_increment_metric $m 2; say", want: []string{"increment_metric=0"}})
			}
		})
	}
	all.Wait()
	b.run(t, exchange{path: "one", do: "request_headers: proxy_define_metric 2 'took.ms' ?h; proxy_record_metric $h 7; proxy_record_metric $h 700; say", want: []string{"record_metric=0"}})
	big := strings.Repeat("k", 257)
	b.run(t, exchange{path: "two", do: fmt.Sprintf("request_headers: proxy_register_shared_queue '%s' ?; say", big), want: []string{"register_shared_queue=10"}})

	m := b.Metrics()
	for series, want := range map[string]float64{
		`edge_guest_visits_total{filter="one",page="a b"}`:           crowd * each,
		`edge_guest_visits_total{filter="two",page="a b"}`:           crowd * each,
		`edge_guest_took_ms_bucket{filter="one",le="10"}`:            1,
		`edge_guest_took_ms_bucket{filter="one",le="+Inf"}`:          2,
		`edge_guest_took_ms_sum{filter="one"}`:                       707,
		`edge_shared_items{filter="",kind="data",vm_id="team"}`:      1,
		`edge_shared_items{filter="",kind="queue",vm_id="team"}`:     1,
		`edge_shared_items{filter="other",kind="data",vm_id=""}`:     1,
		`edge_filter_over_quota_total{filter="two",kind="queue"}`:    1,
		`edge_filter_over_quota_total{filter="one",kind="queue"}`:    0,
		`edge_shared_bytes{filter="",kind="queue",vm_id="team"}`:     129,
		`edge_shared_bytes{filter="other",kind="data",vm_id=""}`:     133,
		`edge_filter_traps_total{filter="one",reason="unreachable"}`: 0,
		`edge_guest_took_ms_count{filter="one"}`:                     2,
		`edge_shared_bytes{filter="",kind="data",vm_id="team"}`:      140,
		`edge_filter_host_calls_refused_total{filter="two"}`:         1,
	} {
		got, found := m[series]
		if !found || got != want {
			t.Errorf("%s is %v (%v), want %v", series, got, found, want)
		}
	}
}
