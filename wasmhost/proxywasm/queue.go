package proxywasm

import (
	"errors"

	"edge/wasmhost/internal/commons"
)

// queueCalls are the message queues of the guests of one vm_id, which others find by name.
var queueCalls = map[string]hostCall{
	"proxy_register_shared_queue": {params: "ano", call: registerQueue},
	"proxy_resolve_shared_queue":  {params: "anano", call: resolveQueue},
	"proxy_enqueue_shared_queue":  {params: "ian", call: enqueue},
	"proxy_dequeue_shared_queue":  {params: "iON", call: dequeue},
}

// registerQueue opens a queue of this vm_id. From now on this filter is told when something is put in. One queue too many
// is internalFailure, which SDKs end the guest on: at its start, where queues are registered, that refuses the filter.
func registerQueue(i *Instance, a []uint64) status {
	name, fits := i.readString(a[0], a[1])
	if !fits || !i.writable32(a[2]) {
		return i.refuse(invalidMemoryAccess)
	}
	id, err := i.plugin.Shared.Register(name, i.plugin.QueueReady)
	if err != nil {
		return i.refuse(internalFailure)
	}
	return i.write32(a[2], id)
}

func resolveQueue(i *Instance, a []uint64) status {
	vm, fits := i.readString(a[0], a[1])
	name, fits2 := i.readString(a[2], a[3])
	if !fits || !fits2 || !i.writable32(a[4]) {
		return i.refuse(invalidMemoryAccess)
	}
	id, found := i.plugin.Shared.Resolve(vm, name)
	if !found {
		return notFound
	}
	return i.write32(a[4], id)
}

// enqueue puts an item in. Where there is no room it is notFound, as for a queue that is gone: the Rust SDK gives that to
// the guest as an error, and ends it on any other.
func enqueue(i *Instance, a []uint64) status {
	item, fits := i.read(a[1], a[2])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	i.copied(len(item))
	switch err := i.plugin.Shared.Enqueue(uint32(a[0]), item); {
	case errors.Is(err, commons.ErrNotFound):
		return notFound
	case err != nil:
		return i.refuse(notFound)
	}
	return ok
}

// dequeue takes the first item out. A guest whose allocator then gives no memory has lost it.
func dequeue(i *Instance, a []uint64) status {
	if !i.writable32(a[1]) || !i.writable32(a[2]) {
		return i.refuse(invalidMemoryAccess)
	}
	item, err := i.plugin.Shared.Dequeue(uint32(a[0]))
	switch {
	case errors.Is(err, commons.ErrNotFound):
		return notFound
	case err != nil:
		return empty
	}
	return i.give(item, a[1], a[2])
}
