//go:build wasip1

// Fails panics in a callback. The test builds it.
package main

func main() {}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 { return 0 }

var table []string

//go:noinline
func look(k uint32) string { return table[k] }

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, count, end uint32) uint32 {
	println("looking")
	return uint32(len(look(count)))
}
