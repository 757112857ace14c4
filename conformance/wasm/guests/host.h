// Every host call of Proxy-Wasm 0.1.0, 0.2.0 and 0.2.1 by name, for a guest without a C library.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long usize;

#define EXPORT(name) __attribute__((export_name(#name), used))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(#name)))

__attribute__((noreturn)) IMPORT("wasi_snapshot_preview1", proc_exit) void proc_exit(u32 code);
IMPORT("env", abort) void assemblyscript_abort(u32 message, u32 file, u32 line, u32 column);
IMPORT("wasi_snapshot_preview1", path_open)
u32 path_open(u32 fd, u32 flags, u32 at, u32 n, u32 open, u64 base, u64 inherit, u32 fd_flags, u32 out);
IMPORT("env", emscripten_notify_memory_growth) void emscripten_notify_memory_growth(u32 memory);

// P and the number of 32-bit parameters. Pointers are numbers here, since the guest's business is wrong ones.
#define P0 void
#define P1 u32
#define P2 u32, u32
#define P3 P2, u32
#define P4 P2, P2
#define P5 P4, u32
#define P6 P4, P2
#define P8 P4, P4
#define P9 P8, u32
#define P10 P8, P2
#define P12 P8, P4

#define HOST_CALLS(X) \
  X(proxy_get_log_level, 1) X(proxy_set_tick_period_milliseconds, 1) X(proxy_done, 0) X(proxy_set_effective_context, 1) \
  X(proxy_get_status, 3) X(proxy_set_buffer_bytes, 5) X(proxy_get_buffer_status, 3) X(proxy_get_header_map_size, 2) \
  X(proxy_get_header_map_pairs, 3) X(proxy_set_header_map_pairs, 3) X(proxy_remove_header_map_value, 3) \
  X(proxy_continue_stream, 1) X(proxy_close_stream, 1) X(proxy_http_call, 10) X(proxy_grpc_call, 12) \
  X(proxy_grpc_stream, 9) X(proxy_grpc_send, 4) X(proxy_grpc_cancel, 1) X(proxy_grpc_close, 1) \
  X(proxy_get_shared_data, 5) X(proxy_set_shared_data, 5) X(proxy_register_shared_queue, 3) \
  X(proxy_resolve_shared_queue, 5) X(proxy_enqueue_shared_queue, 3) X(proxy_dequeue_shared_queue, 3) \
  X(proxy_define_metric, 4) X(proxy_get_metric, 2) X(proxy_get_property, 4) X(proxy_set_property, 4) \
  X(proxy_call_foreign_function, 6) X(proxy_get_configuration, 2) X(proxy_continue_request, 0) \
  X(proxy_continue_response, 0) X(proxy_clear_route_cache, 0) X(pthread_equal, 2)
// Those that the guest calls itself, too, with pointers.
#define POINTER_CALLS(X) \
  X(proxy_log, 3) X(proxy_get_current_time_nanoseconds, 1) X(proxy_get_buffer_bytes, 5) X(proxy_get_header_map_value, 5) \
  X(proxy_add_header_map_value, 5) X(proxy_replace_header_map_value, 5) X(proxy_send_local_response, 8)
#define WIDE_CALLS(X) X(proxy_increment_metric, 65) X(proxy_record_metric, 65)

#define WASI_CALLS(X) \
  X(fd_prestat_get, 2) X(fd_read, 4) X(environ_sizes_get, 2) X(args_sizes_get, 2) X(sock_shutdown, 2) X(random_get, 2)

#define DECLARE(name, n) IMPORT("env", name) u32 name(P##n);
HOST_CALLS(DECLARE)
#define DECLARE_WASI(name, n) IMPORT("wasi_snapshot_preview1", name) u32 name(P##n);
WASI_CALLS(DECLARE_WASI)
IMPORT("env", proxy_log) u32 proxy_log(u32 level, const char *text, u32 len);
IMPORT("env", proxy_get_current_time_nanoseconds) u32 proxy_get_current_time_nanoseconds(u64 *time);
IMPORT("env", proxy_get_buffer_bytes) u32 proxy_get_buffer_bytes(u32 buffer, u32 start, u32 max, u32 *at, u32 *len);
IMPORT("env", proxy_get_header_map_value) u32 proxy_get_header_map_value(u32 map, const char *key, u32 n, u32 *at, u32 *len);
IMPORT("env", proxy_add_header_map_value) u32 proxy_add_header_map_value(u32 map, const char *key, u32 n, const char *v, u32 len);
IMPORT("env", proxy_replace_header_map_value) u32 proxy_replace_header_map_value(u32 map, const char *key, u32 n, const char *v, u32 len);
IMPORT("env", proxy_send_local_response)
u32 proxy_send_local_response(u32 code, const char *details, u32 dn, const char *body, u32 bn, const char *map, u32 mn, u32 grpc);
IMPORT("env", proxy_increment_metric) u32 proxy_increment_metric(u32 id, u64 by);
IMPORT("env", proxy_record_metric) u32 proxy_record_metric(u32 id, u64 value);

typedef struct {
  const char *name;
  u32 params; // 65: one of 32 bits and one of 64
  void (*call)(void);
} host_call;

static u32 notify_memory_growth(u32 memory) {
  emscripten_notify_memory_growth(memory);
  return 0;
}

static u32 open_path(u32 fd, u32 flags, u32 at, u32 n, u32 open, u32 base, u32 fd_flags, u32 out) {
  return path_open(fd, flags, at, n, open, base, base, fd_flags, out);
}

static u32 abort_at(u32 message, u32 file, u32 line, u32 column) {
  assemblyscript_abort(message, file, line, column);
  return 0;
}

#define ENTRY(name, n) {#name, n, (void (*)(void))name},
static const host_call host_calls[] = {HOST_CALLS(ENTRY) POINTER_CALLS(ENTRY) WIDE_CALLS(ENTRY) WASI_CALLS(ENTRY)
                                       {"abort", 4, (void (*)(void))abort_at}, {"path_open", 8, (void (*)(void))open_path},
                                       {"emscripten_notify_memory_growth", 1, (void (*)(void))notify_memory_growth}};

static u32 make(const host_call *c, const u32 *a, u64 wide) {
  switch (c->params) {
  case 0: return ((u32 (*)(void))c->call)();
  case 1: return ((u32 (*)(P1))c->call)(a[0]);
  case 2: return ((u32 (*)(P2))c->call)(a[0], a[1]);
  case 3: return ((u32 (*)(P3))c->call)(a[0], a[1], a[2]);
  case 4: return ((u32 (*)(P4))c->call)(a[0], a[1], a[2], a[3]);
  case 5: return ((u32 (*)(P5))c->call)(a[0], a[1], a[2], a[3], a[4]);
  case 6: return ((u32 (*)(P6))c->call)(a[0], a[1], a[2], a[3], a[4], a[5]);
  case 8: return ((u32 (*)(P8))c->call)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
  case 9: return ((u32 (*)(P9))c->call)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
  case 10: return ((u32 (*)(P10))c->call)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
  case 12: return ((u32 (*)(P12))c->call)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
  case 65: return ((u32 (*)(u32, u64))c->call)(a[0], wide);
  }
  return 99;
}
