// trap fails in one callback, in one way: {"in": "request_headers", "how": "unreachable"}. Where the callback is
// "allocate", its allocator fails. Requests with "x-do: pass" are spared, and those with "x-do: hold" are paused.
//
// Build: ./build.sh
#include "../../examples/wasm/include/proxy_wasm.h"

static text in, how;
static volatile u32 zero;
typedef u32 (*function)(u32);

static __attribute__((noinline)) u32 deeper(u32 n) {
  volatile u32 local[64];
  local[n % 64] = n;
  return n == 0xffffffff ? 0 : deeper(n + 1) + local[n % 64];
}

static void fail(void) {
  if (pw_equal(how, T("unreachable"))) __builtin_trap();
  if (pw_equal(how, T("memory"))) *(volatile u32 *)(0xfffffff0u - zero) = 1;
  if (pw_equal(how, T("arithmetic"))) zero = (zero + 1000) / zero;
  if (pw_equal(how, T("call"))) ((function)(usize)(12345 + zero))(1);
  if (pw_equal(how, T("recursion"))) zero = deeper(zero);
}

static u32 step(text name, u32 action) {
  text what = {0, 0};
  pw_begin();
  pw_get(PW_REQUEST_HEADERS, T("x-do"), &what);
  if (pw_equal(what, T("pass"))) return PW_CONTINUE;
  if (pw_equal(what, T("hold"))) return PW_PAUSE;
  if (pw_equal(in, name)) fail();
  return action;
}

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
PW_EXPORT(proxy_on_context_create) void on_context_create(u32 context, u32 root) {
  if (root != 0) step(T("context_create"), 0);
}
PW_EXPORT(proxy_on_vm_start) u32 on_vm_start(u32 context, usize size) { return 1; }
PW_EXPORT(proxy_on_configure) u32 on_configure(u32 context, usize size) {
  pw_begin();
  text config = pw_buffer(PW_PLUGIN_CONFIG, size);
  in = pw_json(config, T("in"));
  how = pw_json(config, T("how"));
  pw_keep();
  if (pw_equal(in, T("configure"))) {
    pw_log(PW_ERROR, T("about to fail"));
    fail();
  }
  return 1;
}
PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 c, u32 n, u32 end) { return step(T("request_headers"), 0); }
PW_EXPORT(proxy_on_request_body) u32 on_request_body(u32 c, usize n, u32 end) { return step(T("request_body"), 0); }
PW_EXPORT(proxy_on_request_trailers) u32 on_request_trailers(u32 c, u32 n) { return step(T("request_trailers"), 0); }
PW_EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 c, u32 n, u32 end) { return step(T("response_headers"), 0); }
PW_EXPORT(proxy_on_response_body) u32 on_response_body(u32 c, usize n, u32 end) { return step(T("response_body"), 0); }
PW_EXPORT(proxy_on_response_trailers) u32 on_response_trailers(u32 c, u32 n) { return step(T("response_trailers"), 0); }
PW_EXPORT(proxy_on_done) u32 on_done(u32 context) { return step(T("done"), 0) == 0; }
PW_EXPORT(proxy_on_log) void on_log(u32 context) { step(T("log"), 0); }
PW_EXPORT(proxy_on_delete) void on_delete(u32 context) { step(T("delete"), 0); }
