// relay is a Proxy-Wasm guest that streams: for each request it opens a gRPC stream, sends messages, counts what comes back, and answers
// with what it has counted once the stream has closed. The request's headers say what it is to do:
//
//   x-method   the method of pkg.Service           x-ahead  how many messages it sends before it waits for one of the server's for each more
//   x-n        how many messages in all            x-cancel after how many of the server's messages it cancels
//   x-size     their size                          x-trap   after how many it traps
//   x-full     1: it sends no more once a message finds no room
//
// Build: ./build.sh
typedef unsigned int u32;
typedef unsigned long usize;

#define EXPORT(name) __attribute__((export_name(#name), used))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

IMPORT(proxy_get_header_map_value) u32 proxy_get_header_map_value(u32 map, const char *key, u32 n, char **at, u32 *len);
IMPORT(proxy_send_local_response)
u32 proxy_send_local_response(u32 code, const char *details, u32 dn, const char *body, u32 bn, const char *map, u32 mn, u32 grpc);
IMPORT(proxy_set_effective_context) u32 proxy_set_effective_context(u32 context);
IMPORT(proxy_grpc_stream)
u32 proxy_grpc_stream(const char *up, u32 un, const char *service, u32 sn, const char *method, u32 mn, const char *map, u32 pn, u32 *id);
IMPORT(proxy_grpc_send) u32 proxy_grpc_send(u32 id, const char *message, u32 n, u32 end);
IMPORT(proxy_grpc_cancel) u32 proxy_grpc_cancel(u32 id);
IMPORT(proxy_grpc_close) u32 proxy_grpc_close(u32 id);

enum { SLOTS = 4096, MAX_MESSAGE = 1 << 20 };

typedef struct {
  u32 context, id, left, size, cancel, trap, full;
  u32 received, bytes, refused, initial, trailing, ended;
} relay;

static relay relays[SLOTS];
static char message[MAX_MESSAGE];
extern char __heap_base;
static u32 top;

EXPORT(proxy_on_memory_allocate) void *allocate(u32 size) {
  if (!top) top = (u32)&__heap_base;
  u32 at = (top + 15) & ~15u, have = (u32)__builtin_wasm_memory_size(0) << 16;
  if (at + size > have && __builtin_wasm_memory_grow(0, (at + size - have + 0xffff) >> 16) == (usize)-1) return 0;
  top = at + size;
  return (void *)at;
}

static u32 number(const char *key, u32 n) {
  char *at = 0;
  u32 len = 0, v = 0;
  if (proxy_get_header_map_value(0, key, n, &at, &len) != 0) return 0;
  for (u32 k = 0; k < len; k++) v = v * 10 + (u32)(at[k] - '0');
  return v;
}

// step sends up to n messages, as far as there is room.
static void step(relay *r, u32 n) {
  if (r->ended) return;
  while (n-- && r->left) {
    if (proxy_grpc_send(r->id, message, r->size, 0) != 0) {
      r->refused++;
      if (r->full) break;
      return;
    }
    r->left--;
  }
  if (!r->left || r->refused * r->full) r->ended = 1, proxy_grpc_close(r->id);
}

EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
EXPORT(proxy_on_context_create) void on_context_create(u32 context, u32 parent) {}
EXPORT(proxy_on_vm_start) u32 on_vm_start(u32 root, u32 size) { return 1; }
EXPORT(proxy_on_configure) u32 on_configure(u32 root, u32 size) { return 1; }

static void answer(u32 code, relay *r, u32 status) {
  static char text[256];
  u32 n = 0, v[] = {status, r->received, r->bytes, r->refused, r->initial, r->trailing, r->left};
  for (u32 k = 0; k < sizeof v / sizeof *v; k++) {
    char digits[10];
    u32 d = 0, x = v[k];
    do digits[d++] = (char)('0' + x % 10);
    while (x /= 10);
    while (d) text[n++] = digits[--d];
    text[n++] = ' ';
  }
  proxy_send_local_response(code, 0, 0, text, n - 1, 0, 0, (u32)-1);
}

EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 n, u32 end) {
  top = (u32)&__heap_base;
  relay *r = &relays[context % SLOTS];
  *r = (relay){.context = context};
  char *method = 0;
  u32 len = 0;
  proxy_get_header_map_value(0, "x-method", 8, &method, &len);
  r->left = number("x-n", 3), r->size = number("x-size", 6), r->cancel = number("x-cancel", 8), r->trap = number("x-trap", 6);
  r->full = number("x-full", 6);
  if (r->size > MAX_MESSAGE) r->size = MAX_MESSAGE;
  u32 status = proxy_grpc_stream("svc", 3, "pkg.Service", 11, method, len, 0, 0, &r->id);
  if (status != 0) {
    answer(500, r, status);
    return 1;
  }
  step(r, number("x-ahead", 7));
  return 1;
}

static relay *find(u32 id) {
  for (u32 k = 0; k < SLOTS; k++)
    if (relays[k].id == id) return &relays[k];
  return 0;
}

EXPORT(proxy_on_grpc_receive_initial_metadata) void on_initial(u32 root, u32 id, u32 n) {
  relay *r = find(id);
  if (r) r->initial++;
}

EXPORT(proxy_on_grpc_receive) void on_receive(u32 root, u32 id, u32 size) {
  relay *r = find(id);
  if (!r) return;
  r->received++, r->bytes += size;
  if (r->trap && r->received == r->trap) __builtin_trap();
  if (r->cancel && r->received == r->cancel) {
    proxy_grpc_cancel(id);
    if (proxy_set_effective_context(r->context) == 0) answer(200, r, 99);
    r->id = 0;
    return;
  }
  step(r, 1);
}

EXPORT(proxy_on_grpc_receive_trailing_metadata) void on_trailing(u32 root, u32 id, u32 n) {
  relay *r = find(id);
  if (r) r->trailing++;
}

EXPORT(proxy_on_grpc_close) void on_close(u32 root, u32 id, u32 status) {
  relay *r = find(id);
  if (r && proxy_set_effective_context(r->context) == 0) answer(200, r, status);
  if (r) r->id = 0;
}

EXPORT(proxy_on_done) u32 on_done(u32 context) { return 1; }
EXPORT(proxy_on_delete) void on_delete(u32 context) {
  if (context != 1 && relays[context % SLOTS].context == context) relays[context % SLOTS].id = 0;
}
