package engine

import (
	"slices"
	"time"
)

// percentile is the value below which p of 100 of all values lie; 0 of none.
func percentile(parts [][]time.Duration, p int) time.Duration {
	all := slices.Concat(parts...)
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*p/100)]
}
