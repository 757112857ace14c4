// greeter puts its configured greeting into the response header x-greeting.
//
// Configuration: {"greeting": "hello from the edge"}
// Build: ../../build.sh greeter
#include "../../include/proxy_wasm.h"

static text greeting;

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_configure) u32 on_configure(u32 context, usize size) {
  pw_begin();
  greeting = pw_json(pw_buffer(PW_PLUGIN_CONFIG, size), T("greeting"));
  if (size > 0 && greeting.len == 0) {
    pw_log(PW_ERROR, T("the configuration needs a \"greeting\", a string without escapes"));
    return 0;
  }
  if (greeting.len == 0) greeting = T("hello from the edge");
  pw_keep();
  return 1;
}

PW_EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 context, u32 count, u32 end) {
  pw_begin();
  pw_set(PW_RESPONSE_HEADERS, T("x-greeting"), greeting);
  return PW_CONTINUE;
}
