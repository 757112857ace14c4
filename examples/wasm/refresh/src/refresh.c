// refresh keeps a value that an upstream knows, a key or a list, fresh without any request waiting for it: it asks when it starts and
// on every tick, and gives each request the last answer in x-value. Only requests that come before the first answer wait.
//
// A request with "x-value: fresh" waits for the next answer. When the filter ends it tells the upstream, by one more call to
// /bye, before it says that it is done.
//
// Configuration: {"upstream": "keys", "path": "/keys", "period": "1000"}; path and period, in milliseconds, are optional.
// The filter needs allow = { upstreams = ["keys"] }.
// Build: ../../build.sh refresh
#include "../../include/proxy_wasm.h"

#define TIMEOUT_MS 1000
#define MAX_VALUE 256
#define MAX_WAITING 1024

static text upstream, path;
static char value[MAX_VALUE];
static usize value_len;
static u32 asking, leaving;

static u32 waiting[MAX_WAITING];
static u32 waiters;

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

static u32 ask(text target) {
  pw_pair pairs[] = {{T(":method"), T("GET")}, {T(":path"), target}, {T(":authority"), upstream}};
  text head = pw_pairs(pairs, 3);
  u32 id = 0;
  if (proxy_http_call(upstream.at, upstream.len, head.at, head.len, 0, 0, 0, 0, TIMEOUT_MS, &id) != PW_OK) return 0;
  return id;
}

PW_EXPORT(proxy_on_configure) u32 on_configure(u32 context, usize size) {
  pw_begin();
  text config = pw_buffer(PW_PLUGIN_CONFIG, size);
  upstream = pw_json(config, T("upstream"));
  path = pw_json(config, T("path"));
  text period = pw_json(config, T("period"));
  if (upstream.len == 0) {
    pw_log(PW_ERROR, T("the configuration needs an \"upstream\""));
    return 0;
  }
  if (path.len == 0) path = T("/");
  u32 ms = 0;
  for (usize i = 0; i < period.len; i++) ms = ms * 10 + (u32)(period.at[i] - '0');
  proxy_set_tick_period_milliseconds(ms ? ms : 1000);
  pw_keep();
  asking = ask(path);
  return 1;
}

PW_EXPORT(proxy_on_tick) void on_tick(u32 context) {
  pw_begin();
  if (!asking && !leaving) asking = ask(path);
}

PW_EXPORT(proxy_on_http_call_response) void on_answer(u32 context, u32 id, u32 headers, usize body, u32 trailers) {
  pw_begin();
  if (id == leaving) {
    proxy_done();
    return;
  }
  if (id != asking) return;
  asking = 0;
  text status;
  if (headers == 0 || pw_get(PW_CALL_HEADERS, T(":status"), &status) != PW_OK || !pw_equal(status, T("200"))) return;
  text fresh = pw_buffer(PW_CALL_BODY, MAX_VALUE);
  pw_copy(value, fresh);
  value_len = fresh.len;
  for (u32 i = 0; i < waiters; i++) {
    if (proxy_set_effective_context(waiting[i]) != PW_OK) continue; // its client has left
    pw_set(PW_REQUEST_HEADERS, T("x-value"), (text){value, value_len});
    proxy_continue_stream(PW_REQUEST);
  }
  waiters = 0;
}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 count, u32 end) {
  pw_begin();
  text asks;
  pw_get(PW_REQUEST_HEADERS, T("x-value"), &asks);
  if (value_len && !pw_equal(asks, T("fresh"))) {
    pw_set(PW_REQUEST_HEADERS, T("x-value"), (text){value, value_len});
    return PW_CONTINUE;
  }
  if (waiters == MAX_WAITING) {
    proxy_send_local_response(503, 0, 0, 0, 0, 0, 0, (u32)-1);
    return PW_PAUSE;
  }
  waiting[waiters++] = context;
  return PW_PAUSE;
}

PW_EXPORT(proxy_on_done) u32 on_done(u32 context) {
  if (context != 1) return 1;
  pw_begin();
  leaving = ask(T("/bye"));
  return leaving == 0;
}
