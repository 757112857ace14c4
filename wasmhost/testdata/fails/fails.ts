// fails asserts what is not so in a callback. The language's own abort is an import of the host's.
//
// Build: ./build.sh as
export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: usize): usize {
  return heap.alloc(size);
}

function check(count: u32): void {
  assert(count == 0, "a header that nobody asked for ü");
}

export function proxy_on_request_headers(context: u32, count: u32, end: u32): u32 {
  check(count);
  return 0;
}
