package main

import (
	"edge/runtime/config"
	"edge/runtime/http1"
)

// http1Limits are a configuration's limits as the codec takes them; what the file does not speak of is the codec's own.
func http1Limits(c *config.Limits) http1.Limits {
	l := http1.DefaultLimits
	l.TargetBytes = int(c.URIBytes)
	l.HeaderBytes = int(c.HeaderBytes)
	l.HeaderCount = c.HeaderCount
	l.BodyBytes = -1
	if c.RequestBody != config.Unlimited {
		l.BodyBytes = int64(c.RequestBody)
	}
	return l
}
