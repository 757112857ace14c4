package wasmhost

import (
	"fmt"
	"strings"
	"time"

	"edge/filters"
	"edge/wasmhost/proxywasm"
)

// Fault is a call into a guest, or its start, that was ended by force, for the log and the status page.
type Fault struct {
	Time      time.Time
	Filter    string
	RequestID string // "" where no request is concerned
	Phase     Phase
	Cause     Cause
	Limit     string // the limit that was hit with its value, or ""
	Error     string // the engine's words
	Said      string // the guest's own: what it wrote as errors in the call, the text of a panic in most languages
	Stack     string // the guest's functions, innermost first, with " < " between; at most maxStack bytes
}

// String is the fault in short: its cause, the limit and the phase.
func (f *Fault) String() string {
	limit := ""
	if f.Limit != "" {
		limit = " (limit: " + f.Limit + ")"
	}
	return f.Cause.String() + limit + " in " + f.Phase.String()
}

// Line is the whole of the fault as a line of text.
func (f *Fault) Line() string {
	var b strings.Builder
	b.WriteString("the guest failed: " + f.String() + ": " + f.Error)
	for _, part := range [...]struct{ name, text string }{{"request", f.RequestID}, {"it said", f.Said}, {"stack", f.Stack}} {
		if part.text != "" {
			b.WriteString("; " + part.name + ": " + part.text)
		}
	}
	return b.String()
}

// limited says whether the cause is one of the filter's limits.
func (c Cause) limited() bool {
	return c == CauseLimit || c == CauseCPU || c == CauseDepth || c == CauseStack
}

// limit is the limit behind a cause, with its value. That of memory ends no call by itself, as a guest is only told that it gets no
// more; it is named where all of it was in use when the guest gave up.
func (s *Spec) limit(c Cause, p Phase, memory int) string {
	switch {
	case c == CauseCPU && p == Start:
		return "cpu " + StartCPU.String()
	case c == CauseCPU:
		return "cpu " + s.Limits.CPU.String()
	case c == CauseDepth:
		return fmt.Sprintf("call_depth %d", s.Limits.CallDepth)
	case c == CauseLimit:
		return fmt.Sprintf("host calls %d", proxywasm.MaxHostCalls)
	case memory > s.Limits.Memory-pageBytes:
		return fmt.Sprintf("memory %d, all in use", s.Limits.Memory)
	}
	return ""
}

// failed is the instance whose call failed.
type failed interface {
	LastWords() string
	MemoryBytes() int
}

// report counts a fault and has it logged. x is the exchange whose call failed, or nil; in is nil where there is no instance.
func (f *Filter) report(x filters.Exchange, p Phase, err error, in failed) *Fault {
	r := &Fault{Time: f.host.options.Now(), Filter: f.spec.Name, Phase: p, Cause: causeOf(err)}
	memory := 0
	if in != nil {
		r.Said, memory = in.LastWords(), in.MemoryBytes()
	}
	r.Limit = f.spec.limit(r.Cause, p, memory)
	if p == Start {
		r.Cause = CauseStart
	}
	r.Error, r.Stack = explain(err, f.module.numbers)
	if x != nil {
		if id, found := x.Property("request\x00id"); found {
			r.RequestID = strings.Clone(id.Text)
		}
	}
	f.faults[r.Cause].Add(1)
	f.last.Store(r)
	if f.host.options.Fault != nil {
		f.host.options.Fault(r)
	} else {
		f.host.options.Log(f.spec.Name, filters.Error, r.Line())
	}
	return r
}

// LastFault is the newest fault, or nil.
func (f *Filter) LastFault() *Fault { return f.last.Load() }

// refusal is the policy's answer in the guest's place: after a fault, or, where that is nil, because there is no instance
// that could be called.
func (f *Filter) refusal(x filters.Exchange, fault *Fault) filters.Action {
	if fault != nil {
		filters.Because(x, fault.Cause.limited(), fault.String())
	} else {
		filters.Because(x, false, "there is no instance to call")
	}
	if f.spec.FailOpen {
		return filters.Skip
	}
	return filters.Fail
}

// reply is what a paused stream gets where its guest fails in another stream's call and the policy is closed.
func (f *Fault) reply() filters.Reply {
	r := filters.Reply{Status: 503, Details: "the filter failed: " + f.String(), Flag: filters.FlagFailed}
	if f.Cause.limited() {
		r.Flag = filters.FlagLimit
	}
	return r
}
