// Proxy-Wasm 0.2.1 for C guests without a C library: the host calls and numbers that the examples use, and the memory
// the host hands its answers over in.
//
// Every host call returns a status, PW_OK or an error. Where it gives data back, it asks the guest for memory through
// proxy_on_memory_allocate, below: an arena that every callback empties by pw_begin(), so that what a call gave back is
// good until the callback returns. pw_keep() makes what is there stay (a configuration).
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long usize;

#define PW_EXPORT(name) __attribute__((export_name(#name), used))
#define PW_IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

enum { PW_OK, PW_NOT_FOUND, PW_BAD_ARGUMENT };
enum { PW_TRACE, PW_DEBUG, PW_INFO, PW_WARN, PW_ERROR, PW_CRITICAL };
enum { PW_CONTINUE, PW_PAUSE };
enum { PW_REQUEST_HEADERS, PW_REQUEST_TRAILERS, PW_RESPONSE_HEADERS, PW_RESPONSE_TRAILERS, PW_CALL_HEADERS = 6 };
enum { PW_REQUEST_BODY, PW_RESPONSE_BODY, PW_CALL_BODY = 4, PW_VM_CONFIG = 6, PW_PLUGIN_CONFIG = 7 };
enum { PW_REQUEST, PW_RESPONSE };

PW_IMPORT(proxy_log) u32 proxy_log(u32 level, const char *text, usize len);
PW_IMPORT(proxy_get_buffer_bytes) u32 proxy_get_buffer_bytes(u32 buffer, usize start, usize max, char **data, usize *len);
PW_IMPORT(proxy_get_header_map_value)
u32 proxy_get_header_map_value(u32 map, const char *key, usize key_len, char **value, usize *len);
PW_IMPORT(proxy_replace_header_map_value)
u32 proxy_replace_header_map_value(u32 map, const char *key, usize key_len, const char *value, usize len);
PW_IMPORT(proxy_remove_header_map_value) u32 proxy_remove_header_map_value(u32 map, const char *key, usize key_len);
PW_IMPORT(proxy_continue_stream) u32 proxy_continue_stream(u32 stream);
PW_IMPORT(proxy_set_tick_period_milliseconds) u32 proxy_set_tick_period_milliseconds(u32 ms);
PW_IMPORT(proxy_done) u32 proxy_done(void);
PW_IMPORT(proxy_set_effective_context) u32 proxy_set_effective_context(u32 context);
PW_IMPORT(proxy_send_local_response)
u32 proxy_send_local_response(u32 status, const char *details, usize details_len, const char *body, usize body_len,
                              const char *headers, usize headers_len, u32 grpc_status);
PW_IMPORT(proxy_http_call)
u32 proxy_http_call(const char *upstream, usize upstream_len, const char *headers, usize headers_len, const char *body,
                    usize body_len, const char *trailers, usize trailers_len, u32 timeout_ms, u32 *id);

// A piece of text somewhere in memory.
typedef struct {
  const char *at;
  usize len;
} text;

#define T(literal) ((text){literal, sizeof(literal) - 1})

extern u8 __heap_base;
static usize pw_floor, pw_top;

static inline void pw_begin(void) {
  if (pw_floor == 0) pw_floor = (usize)&__heap_base;
  pw_top = pw_floor;
}

static inline void pw_keep(void) { pw_floor = (pw_top + 15) & ~(usize)15; }

// proxy_on_memory_allocate is where the host's answers go. It returns 0 when there is no memory left.
PW_EXPORT(proxy_on_memory_allocate) void *pw_allocate(usize size) {
  if (pw_top == 0) pw_begin();
  usize at = (pw_top + 15) & ~(usize)15;
  if (size > 0x40000000) return 0;
  usize have = (usize)__builtin_wasm_memory_size(0) << 16;
  if (at + size > have && __builtin_wasm_memory_grow(0, (at + size - have + 0xffff) >> 16) == (usize)-1) return 0;
  pw_top = at + size;
  return (void *)at;
}

static inline u32 pw_get(u32 map, text key, text *value) {
  char *at = 0;
  usize len = 0;
  u32 status = proxy_get_header_map_value(map, key.at, key.len, &at, &len);
  *value = (text){at, status == PW_OK ? len : 0};
  return status;
}

static inline u32 pw_set(u32 map, text key, text value) {
  return proxy_replace_header_map_value(map, key.at, key.len, value.at, value.len);
}

static inline text pw_buffer(u32 buffer, usize max) {
  char *at = 0;
  usize len = 0;
  if (proxy_get_buffer_bytes(buffer, 0, max, &at, &len) != PW_OK) len = 0;
  return (text){at, len};
}

static inline void pw_log(u32 level, text line) { proxy_log(level, line.at, line.len); }

static inline int pw_equal(text a, text b) {
  if (a.len != b.len) return 0;
  for (usize i = 0; i < a.len; i++)
    if (a.at[i] != b.at[i]) return 0;
  return 1;
}

static inline void pw_copy(char *to, text from) {
  for (usize i = 0; i < from.len; i++) to[i] = from.at[i];
}

// pw_json finds the string value of a key in a flat JSON object. Values with escapes are not found.
static inline text pw_json(text object, text key) {
  for (usize i = 0; i + key.len + 2 <= object.len; i++) {
    if (object.at[i] != '"' || object.at[i + key.len + 1] != '"') continue;
    if (!pw_equal((text){object.at + i + 1, key.len}, key)) continue;
    usize at = i + key.len + 2;
    while (at < object.len && (object.at[at] == ' ' || object.at[at] == ':')) at++;
    if (at >= object.len || object.at[at] != '"') continue;
    usize end = ++at;
    while (end < object.len && object.at[end] != '"')
      if (object.at[end++] == '\\') return (text){0, 0};
    if (end < object.len) return (text){object.at + at, end - at};
  }
  return (text){0, 0};
}

// A header map as the host calls take it: a count, the lengths of the pairs, then keys and values with a zero each.
typedef struct {
  text key, value;
} pw_pair;

static inline text pw_pairs(const pw_pair *pairs, u32 count) {
  usize size = 4;
  for (u32 i = 0; i < count; i++) size += 8 + pairs[i].key.len + 1 + pairs[i].value.len + 1;
  char *out = pw_allocate(size);
  if (!out) return (text){0, 0};
  u32 *lengths = (u32 *)out;
  *lengths++ = count;
  for (u32 i = 0; i < count; i++) {
    *lengths++ = pairs[i].key.len;
    *lengths++ = pairs[i].value.len;
  }
  char *at = (char *)lengths;
  for (u32 i = 0; i < count; i++) {
    pw_copy(at, pairs[i].key);
    at += pairs[i].key.len;
    *at++ = 0;
    pw_copy(at, pairs[i].value);
    at += pairs[i].value.len;
    *at++ = 0;
  }
  return (text){out, size};
}
