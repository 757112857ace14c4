// cost makes two host calls in each of two callbacks: what a small filter does, for measurements. Its memory is one page.
//
// Build: ./build.sh
#include "../../examples/wasm/include/proxy_wasm.h"

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 fields, u32 end) {
  text agent;
  pw_begin();
  pw_get(PW_REQUEST_HEADERS, T("user-agent"), &agent);
  pw_set(PW_REQUEST_HEADERS, T("x-client"), agent.len ? agent : T("unknown"));
  return PW_CONTINUE;
}

PW_EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 context, u32 fields, u32 end) {
  text type;
  pw_begin();
  pw_get(PW_RESPONSE_HEADERS, T("content-type"), &type);
  pw_set(PW_RESPONSE_HEADERS, T("x-served-by"), T("edge"));
  return PW_CONTINUE;
}
