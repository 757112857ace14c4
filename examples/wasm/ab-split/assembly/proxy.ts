// The part of Proxy-Wasm 0.2.1 that ab-split uses. What the host gives back lies in memory it had from
// proxy_on_memory_allocate; take() makes a string of it and frees it.

// @ts-ignore: decorator
@external("env", "proxy_log")
declare function proxy_log(level: u32, text: usize, size: usize): u32;
// @ts-ignore: decorator
@external("env", "proxy_get_buffer_bytes")
declare function proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: usize, size: usize): u32;
// @ts-ignore: decorator
@external("env", "proxy_get_header_map_value")
declare function proxy_get_header_map_value(map: u32, key: usize, keySize: usize, value: usize, size: usize): u32;
// @ts-ignore: decorator
@external("env", "proxy_replace_header_map_value")
declare function proxy_replace_header_map_value(map: u32, key: usize, keySize: usize, value: usize, size: usize): u32;
// @ts-ignore: decorator
@external("env", "proxy_add_header_map_value")
declare function proxy_add_header_map_value(map: u32, key: usize, keySize: usize, value: usize, size: usize): u32;
// @ts-ignore: decorator
@external("env", "proxy_get_property")
declare function proxy_get_property(path: usize, pathSize: usize, value: usize, size: usize): u32;
// @ts-ignore: decorator
@external("env", "proxy_get_current_time_nanoseconds")
declare function proxy_get_current_time_nanoseconds(now: usize): u32;

export const REQUEST_HEADERS: u32 = 0;
export const RESPONSE_HEADERS: u32 = 2;
const PLUGIN_CONFIG: u32 = 7;
const ERROR: u32 = 4;

// Where the host writes pointers and numbers.
const out = memory.data(8, 8);

export function proxy_on_memory_allocate(size: usize): usize {
  return heap.alloc(size);
}

function take(): string {
  const at = <usize>load<u32>(out);
  const size = <usize>load<u32>(out, 4);
  if (size == 0) return "";
  const text = String.UTF8.decodeUnsafe(at, size);
  heap.free(at);
  return text;
}

export function header(map: u32, name: string): string {
  const key = String.UTF8.encode(name);
  const status = proxy_get_header_map_value(map, changetype<usize>(key), key.byteLength, out, out + 4);
  return status == 0 ? take() : "";
}

export function setHeader(map: u32, name: string, value: string): void {
  const key = String.UTF8.encode(name);
  const text = String.UTF8.encode(value);
  proxy_replace_header_map_value(map, changetype<usize>(key), key.byteLength, changetype<usize>(text), text.byteLength);
}

export function addHeader(map: u32, name: string, value: string): void {
  const key = String.UTF8.encode(name);
  const text = String.UTF8.encode(value);
  proxy_add_header_map_value(map, changetype<usize>(key), key.byteLength, changetype<usize>(text), text.byteLength);
}

// property reads an attribute; the segments of its path have NUL between them.
export function property(path: string): string {
  const key = String.UTF8.encode(path);
  return proxy_get_property(changetype<usize>(key), key.byteLength, out, out + 4) == 0 ? take() : "";
}

export function configuration(size: usize): string {
  return proxy_get_buffer_bytes(PLUGIN_CONFIG, 0, size, out, out + 4) == 0 ? take() : "";
}

export function now(): u64 {
  return proxy_get_current_time_nanoseconds(out) == 0 ? load<u64>(out) : 0;
}

export function logError(line: string): void {
  const text = String.UTF8.encode(line);
  proxy_log(ERROR, changetype<usize>(text), text.byteLength);
}
