// auth asks an upstream whether a request may pass. The request waits, paused, until the answer is there.
//
// It sends GET to the configured path with the request's authorization and cookie, and the request's method and path in
// x-original-method and x-original-path. On a 2xx answer the request goes on, with x-auth-user as the upstream set it
// (a value the client sent never passes). On any other answer the client gets that status, 403 for one below 400. When
// the upstream cannot be asked or does not answer, the client gets 503.
//
// Configuration: {"upstream": "auth", "path": "/check", "authority": "auth.internal"}; path and authority are optional.
// The filter needs allow = { upstreams = ["auth"] }.
// Build: ../../build.sh auth
#include "../../include/proxy_wasm.h"

#define TIMEOUT_MS 5000
#define MAX_ASKING 65536

static text upstream, path, authority;

// Which stream each call belongs to, by call id: a ring, since ids rise.
static struct {
  u32 id, context;
} asking[MAX_ASKING];

PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_configure) u32 on_configure(u32 context, usize size) {
  pw_begin();
  text config = pw_buffer(PW_PLUGIN_CONFIG, size);
  upstream = pw_json(config, T("upstream"));
  path = pw_json(config, T("path"));
  authority = pw_json(config, T("authority"));
  if (upstream.len == 0) {
    pw_log(PW_ERROR, T("the configuration needs an \"upstream\""));
    return 0;
  }
  if (path.len == 0) path = T("/");
  if (authority.len == 0) authority = upstream;
  pw_keep();
  return 1;
}

static void answer(u32 status, text body) {
  proxy_send_local_response(status, 0, 0, body.at, body.len, 0, 0, (u32)-1);
}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 count, u32 end) {
  pw_begin();
  proxy_remove_header_map_value(PW_REQUEST_HEADERS, "x-auth-user", 11);

  pw_pair pairs[7] = {
      {T(":method"), T("GET")},
      {T(":path"), path},
      {T(":authority"), authority},
      {T("x-original-method"), {0, 0}},
      {T("x-original-path"), {0, 0}},
  };
  u32 n = 5;
  pw_get(PW_REQUEST_HEADERS, T(":method"), &pairs[3].value);
  pw_get(PW_REQUEST_HEADERS, T(":path"), &pairs[4].value);
  text value;
  if (pw_get(PW_REQUEST_HEADERS, T("authorization"), &value) == PW_OK) pairs[n++] = (pw_pair){T("authorization"), value};
  if (pw_get(PW_REQUEST_HEADERS, T("cookie"), &value) == PW_OK) pairs[n++] = (pw_pair){T("cookie"), value};

  text map = pw_pairs(pairs, n);
  u32 id;
  if (proxy_http_call(upstream.at, upstream.len, map.at, map.len, 0, 0, 0, 0, TIMEOUT_MS, &id) != PW_OK) {
    answer(503, T("the authorization service cannot be asked\n"));
    return PW_PAUSE;
  }
  asking[id % MAX_ASKING].id = id;
  asking[id % MAX_ASKING].context = context;
  return PW_PAUSE;
}

PW_EXPORT(proxy_on_http_call_response)
void on_http_call_response(u32 root, u32 id, u32 headers, usize body_size, u32 trailers) {
  pw_begin();
  u32 slot = id % MAX_ASKING;
  if (asking[slot].id != id || proxy_set_effective_context(asking[slot].context) != PW_OK) return;

  text status;
  if (headers == 0 || pw_get(PW_CALL_HEADERS, T(":status"), &status) != PW_OK || status.len != 3) {
    answer(503, T("the authorization service does not answer\n"));
    return;
  }
  if (status.at[0] == '2') {
    text user;
    if (pw_get(PW_CALL_HEADERS, T("x-auth-user"), &user) == PW_OK) pw_set(PW_REQUEST_HEADERS, T("x-auth-user"), user);
    proxy_continue_stream(PW_REQUEST);
    return;
  }
  u32 code = (status.at[0] - '0') * 100 + (status.at[1] - '0') * 10 + (status.at[2] - '0');
  answer(code < 400 ? 403 : code, T("not authorized\n"));
}
