package httpwasm

import (
	"errors"
	"iter"

	"github.com/tetratelabs/wazero"

	"edge/wasmhost/internal/snapshot"
)

// Snapshot is the state of an instance that has started and serves no stream. It does not change, and all instances of a filter
// can be brought to it.
type Snapshot struct {
	guest    *snapshot.Snapshot
	features uint32
}

// Bytes is the memory that the snapshot takes.
func (s *Snapshot) Bytes() int { return s.guest.Bytes() }

// Snapshot saves the state of an instance that serves no stream. The error says why that cannot be.
func (i *Instance) Snapshot() (*Snapshot, error) {
	guest, err := i.Save()
	if err != nil {
		return nil, err
	}
	return &Snapshot{guest: guest, features: i.features}, nil
}

// Restore brings the instance back to s, also after a call that has failed, and out of one that waits, which is unwound. It
// returns false where the guest cannot be brought back, and the instance must be discarded.
func (i *Instance) Restore(s *Snapshot) bool {
	if i.stream != nil {
		i.stop()
		i.next, i.stop = iter.Pull(i.loop)
		i.stream = nil
	}
	i.features = s.features
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
		i.Discard()
		return nil, errCopy
	}
	return i, nil
}

var errCopy = errors.New("the guest cannot be brought to the state of the first instance")
