//go:build race

package wasmhost

import "time"

// late is by how much a call may outlive its limit. The race detector keeps shadow memory of all that is allocated, so a guest's
// memory.grow alone takes longer than the limits of these tests.
const late = time.Second

// raced says whether the race detector is at work.
const raced = true
