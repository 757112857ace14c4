package proxywasm

import (
	"errors"

	"edge/wasmhost/internal/commons"
)

// metricCalls are a guest's own metrics, those of all instances of its filter together.
var metricCalls = map[string]hostCall{
	"proxy_define_metric":    {params: "tano", call: defineMetric},
	"proxy_increment_metric": {params: "iI", call: incrementMetric},
	"proxy_record_metric":    {params: "iI", call: recordMetric},
	"proxy_get_metric":       {params: "iu", call: getMetric},
}

// defineMetric gives the id of a name and type, the same for the same. More than a filter may have are taken too, and
// counted as refused (see package commons).
func defineMetric(i *Instance, a []uint64) status {
	name, fits := i.readString(a[1], a[2])
	if !fits || !i.writable32(a[3]) {
		return i.refuse(invalidMemoryAccess)
	}
	if uint32(a[0]) > uint32(commons.Histogram) || name == "" {
		return i.refuse(badArgument)
	}
	return i.write32(a[3], i.plugin.Shared.Metrics.Define(commons.Type(uint32(a[0])), name))
}

func incrementMetric(i *Instance, a []uint64) status {
	return i.metricStatus(i.plugin.Shared.Metrics.Increment(uint32(a[0]), int64(a[1])))
}

func recordMetric(i *Instance, a []uint64) status {
	return i.metricStatus(i.plugin.Shared.Metrics.Record(uint32(a[0]), a[1]))
}

func getMetric(i *Instance, a []uint64) status {
	if !i.writable64(a[1]) {
		return i.refuse(invalidMemoryAccess)
	}
	value, err := i.plugin.Shared.Metrics.Value(uint32(a[0]))
	if err != nil {
		return i.metricStatus(err)
	}
	return i.write64(a[1], value)
}

func (i *Instance) metricStatus(err error) status {
	switch {
	case err == nil:
		return ok
	case errors.Is(err, commons.ErrNotFound):
		return notFound
	}
	return i.refuse(badArgument)
}
