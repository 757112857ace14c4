package proxywasm

import (
	"errors"

	"edge/wasmhost/internal/commons"
)

// sharedDataCalls are the key-value store that the guests of one vm_id share.
var sharedDataCalls = map[string]hostCall{
	"proxy_get_shared_data": {params: "anONo", call: getSharedData},
	"proxy_set_shared_data": {params: "anani", call: setSharedData},
}

// getSharedData gives a value and the number by which to change it.
func getSharedData(i *Instance, a []uint64) status {
	key, fits := i.readString(a[0], a[1])
	if !fits || !i.writable32(a[2]) || !i.writable32(a[3]) || !i.writable32(a[4]) {
		return i.refuse(invalidMemoryAccess)
	}
	value, cas, found := i.plugin.Shared.Get(key)
	if !found {
		return notFound
	}
	if s := i.give(value, a[2], a[3]); s != ok {
		return s
	}
	return i.write32(a[4], cas)
}

// setSharedData writes a value; cas is 0, or the number that came with the value it replaces.
//
// A full store answers as a lost race does, with casMismatch. The specification knows no status for it. The Rust SDK
// ends the guest on any but ok and casMismatch, so with another one filter's full store would be a fault for each
// request; every SDK gives casMismatch to the guest as an error, and ok would hide the loss. Guests that try again
// without end meet their limits.
func setSharedData(i *Instance, a []uint64) status {
	key, fits := i.readString(a[0], a[1])
	value, fits2 := i.read(a[2], a[3])
	if !fits || !fits2 {
		return i.refuse(invalidMemoryAccess)
	}
	i.copied(len(value))
	switch err := i.plugin.Shared.Set(key, value, uint32(a[4])); {
	case errors.Is(err, commons.ErrMismatch):
		return casMismatch
	case err != nil:
		return i.refuse(casMismatch)
	}
	return ok
}
