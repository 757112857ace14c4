// hold pauses each request with "x-do: hold" until one with "x-do: release" comes to the same instance.
//
// Build: ./build.sh
#include "../../examples/wasm/include/proxy_wasm.h"

#define MAX_HELD 4096

static u32 held[MAX_HELD], count;

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 fields, u32 end) {
  text what;
  pw_begin();
  pw_get(PW_REQUEST_HEADERS, T("x-do"), &what);
  if (pw_equal(what, T("hold"))) {
    if (count == MAX_HELD) __builtin_trap();
    held[count++] = context;
    return PW_PAUSE;
  }
  for (; pw_equal(what, T("release")) && count > 0; count--) {
    if (proxy_set_effective_context(held[count - 1]) != PW_OK) __builtin_trap();
    pw_set(PW_REQUEST_HEADERS, T("x-released"), T("yes"));
    proxy_continue_stream(PW_REQUEST);
  }
  return PW_CONTINUE;
}

PW_EXPORT(proxy_on_delete) void on_delete(u32 context) {
  for (u32 i = 0; i < count; i++)
    if (held[i] == context) held[i--] = held[--count];
}
