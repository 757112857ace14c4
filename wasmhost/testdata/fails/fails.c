// fails fails in a callback, in the way that the request's path says, in functions with names.
//
// Build: ./build.sh c
#include "../../../examples/wasm/include/proxy_wasm.h"

static volatile u32 zero;

__attribute__((noinline)) void innermost(void) { __builtin_trap(); }
__attribute__((noinline)) void between(u32 n) {
  innermost();
  zero = n;
}
__attribute__((noinline)) void spin(void) {
  for (;;) zero++;
}
__attribute__((noinline)) u32 deeper(u32 n) {
  volatile u32 local[4];
  local[n % 4] = n;
  return deeper(n + 1) + local[n % 4];
}

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 count, u32 end) {
  text path = {0, 0};
  pw_begin();
  pw_get(PW_REQUEST_HEADERS, T(":path"), &path);
  if (pw_equal(path, T("/spin"))) spin();
  if (pw_equal(path, T("/deeper"))) zero = deeper(zero);
  between(count);
  return PW_CONTINUE;
}
