// two-headers reads one request header, and refuses the request or sets two: the smallest filter that does something, for
// measurements.
//
// Build: ../../build.sh two-headers
#include "../../include/proxy_wasm.h"

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 count, u32 end) {
  text agent;
  pw_begin();
  pw_get(PW_REQUEST_HEADERS, T("user-agent"), &agent);
  if (pw_equal(agent, T("blocked"))) {
    proxy_send_local_response(403, 0, 0, 0, 0, 0, 0, -1);
    return PW_PAUSE;
  }
  pw_set(PW_REQUEST_HEADERS, T("x-client"), agent.len ? agent : T("unknown"));
  return PW_CONTINUE;
}

PW_EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 context, u32 count, u32 end) {
  pw_begin();
  pw_set(PW_RESPONSE_HEADERS, T("x-served-by"), T("edge"));
  return PW_CONTINUE;
}
