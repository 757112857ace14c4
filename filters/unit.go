package filters

// Task is work of a filter that belongs to no exchange: ticks, queues, calls of its own. Its methods are called on the turns of
// its Unit, never two at a time, and must not block.
type Task interface {
	// Run does what is due. It is called after each Unit.Wake and when the time has come that it returned last: when to be called
	// again at the latest, on the clock of now in nanoseconds; 0 is only when woken, and what has passed is at once.
	Run(now int64) (next int64)

	// CallDone brings the answer to Unit.Call, or the next part of it; nil where an HTTPCall failed or timed out. It is valid during
	// the call. false: the task cannot take it now; it is brought again after the next Unit.Wake.
	CallDone(id uint32, answer *CallAnswer) (taken bool)

	// Close ends the task, because of Unit.End or because the server stops; its calls have been given up. false: it cannot end
	// now; Close is called again after the next Unit.Wake. A task whose unit ends before its first turn is not closed, unless the
	// server stops.
	Close() (done bool)
}

// Unit is what the server gives a task to run on: like a connection it is run by one worker at a time, whose turns come by events.
type Unit interface {
	// Wake has a turn come. Any goroutine may call it at any time.
	Wake()

	// Call sends a request to a configured upstream; CallDone brings the answer under the same id, which no other call under way
	// has. It copies what it needs. The call must pass Call.Check. On the unit's turn only.
	Call(id uint32, c *Call)

	// CancelCalls gives up all calls: no answer comes. On the unit's turn only.
	CancelCalls()

	// End has Close come. Any goroutine may call it, more than once.
	End()
}

// Units begins units. It may be called before the server runs, and from any goroutine.
type Units interface {
	// Begin has a task run, from soon on or from when the server runs. nil means that the server stops, or has no room.
	Begin(t Task) Unit
}
