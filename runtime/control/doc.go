// Package control runs edge as several processes: a control process that reads the configuration, binds the listeners and takes the
// signals, and children that serve (P1). It is mechanism only; what a child does is a [Worker], and what the control process needs from
// outside (the file, sockets, processes) is in [Options].
//
//	control process ── one Control
//	  │ generation 7 ── one configuration text, its listeners, a fixed number of slots
//	  │   ├─ slot 0 ── child 12   accepts
//	  │   └─ slot 1 ── child 13   accepts
//	  │ generation 6
//	  │   └─          child 9     retires: finishes what it has, accepts nothing
//	  │
//	  └─ Link to each child: a socketpair with messages, and files that travel with them
//
// A slot has exactly one child that accepts; the slot's goroutine (slot.keep) alone replaces it. A generation is begun and ended by the
// goroutine that runs the operations (Control.operate): reloads, upgrades, drains come one after the other. A child's state is guarded
// by Control.mu.
//
// The control process touches no connection of a client and runs no guest, so nothing that a client or a guest does reaches it but
// through messages of bounded size, each of which is awaited with a deadline. A child that does not answer is counted, left out and, where
// it matters, replaced.
package control
