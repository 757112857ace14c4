//go:build wasip1

package main

import "unsafe"

// The part of Proxy-Wasm 0.2.1 that this guest uses.

const (
	statusOK     = 0
	responseMap  = 2
	pluginConfig = 7
	levelError   = 4
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, at unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, most uint32, at, size unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(m uint32, key unsafe.Pointer, keySize uint32, at, size unsafe.Pointer) uint32

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeaderMapValue(m uint32, key unsafe.Pointer, keySize uint32, value unsafe.Pointer, size uint32) uint32

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

// given is the memory that the host was last given; keeping it here keeps it from the collector until it is read.
var given []byte

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) unsafe.Pointer {
	given = make([]byte, size)
	return unsafe.Pointer(unsafe.SliceData(given))
}

// Where the host writes what it gives back.
var outAt, outSize uint32

//go:wasmexport proxy_on_configure
func onConfigure(context, size uint32) uint32 {
	var text []byte
	if size > 0 && proxyGetBufferBytes(pluginConfig, 0, size, unsafe.Pointer(&outAt), unsafe.Pointer(&outSize)) == statusOK {
		text = given
	}
	if configure(text) {
		return 1
	}
	return 0
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, count, end uint32) uint32 {
	responseHeaders()
	return 0
}

func hasHeader(m uint32, name string) bool {
	return proxyGetHeaderMapValue(m, at(name), uint32(len(name)), unsafe.Pointer(&outAt), unsafe.Pointer(&outSize)) == statusOK
}

func setHeader(m uint32, name, value string) {
	proxyReplaceHeaderMapValue(m, at(name), uint32(len(name)), at(value), uint32(len(value)))
}

func logError(line string) { proxyLog(levelError, at(line), uint32(len(line))) }

func at(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }
