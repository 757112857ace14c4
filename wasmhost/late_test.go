//go:build !race

package wasmhost

import "time"

// late is by how much a call may outlive its limit.
const late = 20 * time.Millisecond

// raced says whether the race detector is at work.
const raced = false
