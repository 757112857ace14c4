package main

import (
	"fmt"
	"strings"

	"edge/mpm"
)

// idleWork is what a worker without a connection does, in the status; the others do what their connection's phase says.
const idleWork = "idle"

// workersByPhase counts a child's workers by what they do, from the cells of its scoreboard (P8).
func workersByPhase(child int, cells []uint64) map[string]int {
	by := map[string]int{}
	for _, cell := range cells {
		if w := mpm.ReadWork(cell, child); w.Busy {
			by[w.Phase.String()]++
		} else {
			by[idleWork]++
		}
	}
	return by
}

// toldWorkers is how many workers of a child that has died the log names.
const toldWorkers = 8

// workersText is what a child's workers were at, for the log: one of their connections may be why it died.
func workersText(child int, cells []uint64) string {
	var b strings.Builder
	busy := 0
	for _, cell := range cells {
		w := mpm.ReadWork(cell, child)
		if !w.Busy {
			continue
		}
		if busy++; busy <= toldWorkers {
			fmt.Fprintf(&b, ", %s on connection %d", w.Phase, w.Connection)
		}
	}
	if busy > toldWorkers {
		b.WriteString(", …")
	}
	return fmt.Sprintf("%d of %d busy", busy, len(cells)) + b.String()
}
