//go:build !race

package rig

// Race says that the suites run under the race detector.
const Race = false
