// The http-wasm HTTP handler ABI for C guests without a C library: the host functions and numbers.
//
// A guest exports handle_request and handle_response. Host functions that give text write it into the guest's buffer where
// it fits, or else nothing, and return its length; what the host cannot do is a trap.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long usize;

#define HW_EXPORT(name) __attribute__((export_name(#name), used))
#define HW_IMPORT(name) __attribute__((import_module("http_handler"), import_name(#name)))

enum { HW_REQUEST, HW_RESPONSE, HW_REQUEST_TRAILERS, HW_RESPONSE_TRAILERS };
enum { HW_BUFFER_REQUEST = 1, HW_BUFFER_RESPONSE = 2, HW_TRAILERS = 4 };
enum { HW_DEBUG = -1, HW_INFO, HW_WARN, HW_ERROR };

// What handle_request returns: go on, or answer with what the guest has made of the response.
#define HW_NEXT(context) ((u64)(context) << 32 | 1)
#define HW_ANSWER ((u64)0)

HW_IMPORT(enable_features) u32 enable_features(u32 features);
HW_IMPORT(get_config) u32 get_config(char *buf, u32 limit);
HW_IMPORT(log) void log_line(int level, const char *text, u32 len);
HW_IMPORT(log_enabled) u32 log_enabled(int level);
HW_IMPORT(get_header_names) u64 get_header_names(u32 kind, char *buf, u32 limit);
HW_IMPORT(get_header_values) u64 get_header_values(u32 kind, const char *name, u32 name_len, char *buf, u32 limit);
HW_IMPORT(set_header_value) void set_header_value(u32 kind, const char *name, u32 name_len, const char *value, u32 len);
HW_IMPORT(add_header_value) void add_header_value(u32 kind, const char *name, u32 name_len, const char *value, u32 len);
HW_IMPORT(remove_header) void remove_header(u32 kind, const char *name, u32 name_len);
HW_IMPORT(read_body) u64 read_body(u32 kind, char *buf, u32 limit);
HW_IMPORT(write_body) void write_body(u32 kind, const char *body, u32 len);
HW_IMPORT(get_method) u32 get_method(char *buf, u32 limit);
HW_IMPORT(set_method) void set_method(const char *method, u32 len);
HW_IMPORT(get_uri) u32 get_uri(char *buf, u32 limit);
HW_IMPORT(set_uri) void set_uri(const char *uri, u32 len);
HW_IMPORT(get_protocol_version) u32 get_protocol_version(char *buf, u32 limit);
HW_IMPORT(get_source_addr) u32 get_source_addr(char *buf, u32 limit);
HW_IMPORT(get_status_code) u32 get_status_code(void);
HW_IMPORT(set_status_code) void set_status_code(u32 status);
