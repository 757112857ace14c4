package wasm

import (
	"testing"

	"edge/conformance/rig"
)

// TestW108Quotas: what guests share and count is bounded. A guest that goes beyond is refused what it asks, and it is counted.
func TestW108Quotas(t *testing.T) {
	b := newBed(t, "0.2.1", "", "limits = { cpu = \"5s\" }\n")
	for kind, x := range map[string]exchange{
		"data":   {do: "request_headers: store 50000 1000; say", want: []string{"refused="}, never: []string{"refused=0"}},
		"queue":  {do: "request_headers: proxy_register_shared_queue 'queue' ?q; enqueue 50000 1000; say", want: []string{"refused="}, never: []string{"refused=0"}},
		"metric": {do: "request_headers: define 5000; say", want: []string{"refused=0"}},
	} {
		t.Run(kind, func(t *testing.T) {
			b.run(t, x)
			b.WaitMetric("the refusals", func(m rig.Metrics) bool { return m.Sum("edge_filter_over_quota_total", `kind="`+kind+`"`) > 0 })
		})
	}
}
