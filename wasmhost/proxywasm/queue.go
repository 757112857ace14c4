package proxywasm

// queueCalls are the message queues that guests share.
//
// There are none yet: a guest may register one, as SDKs end the guest where it may not; nobody finds it, what is put in
// is refused with notFound, and it is always empty.
var queueCalls = map[string]hostCall{
	"proxy_register_shared_queue": {params: "iii", call: registerQueue},
	"proxy_resolve_shared_queue":  {params: "iiiii", call: absent},
	"proxy_enqueue_shared_queue":  {params: "iii", call: absent},
	"proxy_dequeue_shared_queue":  {params: "iii", call: dequeue},
}

func registerQueue(i *Instance, a []uint64) status { return i.write32(a[2], 1) }

func dequeue(*Instance, []uint64) status { return empty }
