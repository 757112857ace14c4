package proxywasm

// metricCalls are a guest's own metrics.
//
// They lead nowhere yet: defining one gives an id, changing it succeeds, since SDKs end the guest on most other answers,
// and reading it is notFound.
var metricCalls = map[string]hostCall{
	"proxy_define_metric":    {params: "iiii", call: defineMetric},
	"proxy_increment_metric": {params: "iI", call: changeMetric},
	"proxy_record_metric":    {params: "iI", call: changeMetric},
	"proxy_get_metric":       {params: "ii", call: absent},
}

const metricTypes = 3 // counter, gauge, histogram

// defineMetric gives ids from 1 on.
func defineMetric(i *Instance, a []uint64) status {
	if uint32(a[0]) >= metricTypes || i.metrics >= MaxMetrics {
		return i.refuse(badArgument)
	}
	if _, fits := i.read(a[1], a[2]); !fits {
		return i.refuse(invalidMemoryAccess)
	}
	i.metrics++
	return i.write32(a[3], i.metrics)
}

func changeMetric(i *Instance, a []uint64) status {
	if id := uint32(a[0]); id == 0 || id > i.metrics {
		return notFound
	}
	return ok
}
