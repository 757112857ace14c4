package proxywasm

import (
	"errors"
	"slices"

	"github.com/tetratelabs/wazero"

	"edge/wasmhost/internal/snapshot"
)

// Snapshot is the state of an instance that has started and has no stream. It does not change, and all instances of a filter
// can be brought to it. Ids of streams and calls, which the host counts, are no part of it; calls of the root context that had not
// been taken are.
type Snapshot struct {
	guest *snapshot.Snapshot
	root  root // what the guest had asked for at its start, and asks for again
}

// Bytes is the memory that the snapshot takes.
func (s *Snapshot) Bytes() int { return s.guest.Bytes() }

// ErrStreams says that an instance has streams open, so that its state is not only its own.
var ErrStreams = errors.New("it has streams open")

// Snapshot saves the state of an instance. The error says why that cannot be.
func (i *Instance) Snapshot() (*Snapshot, error) {
	if i.streams.n > 0 {
		return nil, ErrStreams
	}
	guest, err := i.Save()
	if err != nil {
		return nil, err
	}
	return &Snapshot{guest: guest, root: i.root.copy()}, nil
}

// Restore brings the instance back to s, also after a call that has failed. Streams that were open in it are forgotten: Abandon
// must have seen to them. It returns false where the guest cannot be brought back, and the instance must be closed.
func (i *Instance) Restore(s *Snapshot) bool {
	i.forget()
	i.streams.clear()
	i.begin(nil)
	i.allocating, i.answer, i.grpc = false, nil, grpcShown{}
	ending := i.root.ending
	i.root = s.root.copy()
	clear(i.outboxes)
	for k := range i.root.asked {
		i.open(i.root.asked[k].ID, &i.root.asked[k].Call)
	}
	i.root.ending, i.root.news = ending, i.root.period > 0 || len(i.root.asked) > 0
	return i.Back(s.guest)
}

// Copy makes an instance that is as s says, without starting one: the module's start function runs, and is forgotten.
func (m *Module) Copy(rt wazero.Runtime, p *Plugin, s *Snapshot) (*Instance, error) {
	i, err := m.instantiate(rt, p)
	if err != nil {
		return nil, err
	}
	i.started()
	if !i.Restore(s) {
		i.Shut()
		return nil, errCopy
	}
	return i, nil
}

// copy is what a guest has asked for its root context, apart from what has become of it. Its calls have outboxes of their own.
func (r *root) copy() root {
	c := root{period: r.period, calls: r.calls, asked: slices.Clone(r.asked)}
	for k := range c.asked {
		if o := &c.asked[k].Call.Outbox; *o != nil {
			*o = (*o).Clone()
		}
	}
	return c
}

var errCopy = errors.New("the guest cannot be brought to the state of the first instance")
