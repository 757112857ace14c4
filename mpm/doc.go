// Package mpm is the engine: it accepts connections, waits for their sockets and timers, and hands those that have
// something to do to workers. It knows no protocol; a [Handler] does.
//
//	            accept, place              epoll, timers
//	listeners ───────────────► poller 0 … poller n ──────────► run queue ──────► worker 0 … worker m
//	                               ▲        owns sockets,           new ones first        │ one turn: Handler.Serve
//	                               │        slots, wheel                                  ▼
//	                               └────────────── release: ARMED, or PARKED ─────── Verdict
//
// Who owns what:
//
//   - A connection's word (internal/state) says who owns the connection. While it is RUNNING its worker owns every plain
//     field of Conn and of the sockets it has borrowed; no lock is involved.
//   - A poller's slots and timers belong to whoever holds poller.mu: the poller itself, for a batch of events at a time,
//     and workers that open or close a socket or move a deadline forward. Pollers share nothing.
//   - The door (internal/admit) belongs to poller 0, which alone accepts.
//   - A connection stays on the poller it was placed on, and so do the sockets it borrows; idle ones wait there.
package mpm
