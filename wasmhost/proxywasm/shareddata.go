package proxywasm

// sharedDataCalls are the key-value store that guests share.
//
// It keeps nothing yet: writing succeeds and the value is gone at once, as from a cache without room. Guests must bear
// that from any host, and SDKs take no other answer to a write than ok or a compare-and-swap mismatch, on which guests
// try again for ever.
var sharedDataCalls = map[string]hostCall{
	"proxy_get_shared_data": {params: "iiiii", call: absent},
	"proxy_set_shared_data": {params: "iiiii", call: accept},
}
