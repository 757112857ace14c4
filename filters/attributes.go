package filters

import (
	"strings"
	"sync"
)

// attributes are what filters have stored with SetProperty. Lanes of several filters may ask at once, so a mutex guards
// them; it is never held across a call. What is handed out stays as it is: a value is replaced, not overwritten.
type attributes struct {
	mu   sync.Mutex
	list []attribute
	size int
}

type attribute struct{ path, value string }

func (a *attributes) reset() {
	if len(a.list) > 0 {
		clear(a.list)
		a.list, a.size = a.list[:0], 0
	}
}

func (a *attributes) get(path string) (Value, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.list {
		if a.list[i].path == path {
			return Value{Kind: Bytes, Text: a.list[i].value}, true
		}
	}
	return Value{}, false
}

func (a *attributes) set(path string, value []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, size := len(a.list), a.size+len(path)+len(value)
	for i := range a.list {
		if a.list[i].path == path {
			at, size = i, a.size-len(a.list[i].value)+len(value)
		}
	}
	if at >= MaxProperties || size > MaxPropertyBytes {
		return ErrPropertyLimit
	}
	a.size = size
	if at < len(a.list) {
		if a.list[at].value != string(value) {
			a.list[at].value = string(value)
		}
		return nil
	}
	a.list = append(a.list, attribute{strings.Clone(path), string(value)})
	return nil
}
