// version puts its version into the request's header x-version, and into the response's. The test makes many of it, by
// another text in the same place. A request with x-do waits until /gate of the upstream app has answered.
//
// Configuration: with "trap" it fails at its start.
// Build: ./build.sh
#include "../../../examples/wasm/include/proxy_wasm.h"

static u32 waiting;

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_configure) u32 on_configure(u32 context, usize size) {
  pw_begin();
  if (pw_equal(pw_buffer(PW_PLUGIN_CONFIG, size), T("trap"))) __builtin_trap();
  return 1;
}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 fields, u32 end) {
  pw_begin();
  pw_set(PW_REQUEST_HEADERS, T("x-version"), T("version-00000"));
  text what;
  if (pw_get(PW_REQUEST_HEADERS, T("x-do"), &what) != PW_OK) return PW_CONTINUE;
  pw_pair pairs[3] = {{T(":method"), T("GET")}, {T(":path"), T("/gate")}, {T(":authority"), T("app")}};
  text map = pw_pairs(pairs, 3);
  u32 id;
  if (proxy_http_call("app", 3, map.at, map.len, 0, 0, 0, 0, 60000, &id) != PW_OK) __builtin_trap();
  waiting = context;
  return PW_PAUSE;
}

PW_EXPORT(proxy_on_http_call_response)
void on_http_call_response(u32 root, u32 id, u32 headers, usize body_size, u32 trailers) {
  pw_begin();
  if (proxy_set_effective_context(waiting) != PW_OK) __builtin_trap();
  proxy_continue_stream(PW_REQUEST);
}

PW_EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 context, u32 fields, u32 end) {
  pw_begin();
  pw_set(PW_RESPONSE_HEADERS, T("x-version"), T("version-00000"));
  return PW_CONTINUE;
}
