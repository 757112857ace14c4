// script is an http-wasm guest that does what a request says: handle_request runs the commands in the request header
// x-do, handle_response those in x-then, separated by ';'. A command is a letter and its operands; what it finds out it
// writes into the response header x-<letter>, and a handler that may not do that logs instead.
//
//   m get method   u uri   v version   a source address   s status   c config   i log "ctx=<context> err=<isError>"
//   M<method>      U<uri>  S<status>   e<features>        E echo what enable_features(0) says
//   h<kind><name>=<value> set    H add    d<kind><name> remove    g<kind><name> values    n<kind> names
//   r<kind><size> read to the end with a buffer of size    R<kind><size> read once    q<kind><size> r, but log it
//   w<kind><text> write_body
//   l<level><text> log    L<level> log_enabled    b<limit> get method with a buffer of limit
//   0 answer instead of going on    t trap    z loop for ever    o log out of bounds    O method out of bounds
#include "../../examples/wasm/include/http_handler.h"

static char script[4096], out[1 << 17], config[256];
static u32 config_len, next, handling;

static u32 number(const char **p) {
  u32 n = 0;
  while (**p >= '0' && **p <= '9') n = n * 10 + (u32)(*(*p)++ - '0');
  return n;
}

static u32 decimal(char *to, u32 n) {
  char digits[10];
  u32 k = 0, len = 0;
  do digits[k++] = (char)('0' + n % 10);
  while (n /= 10);
  while (k) to[len++] = digits[--k];
  return len;
}

static u32 length(const char *s) {
  u32 n = 0;
  while (s[n] && s[n] != ';') n++;
  return n;
}

static void tell(char letter, char *text, u32 len) {
  char name[3] = {'x', '-', letter};
  for (u32 k = 0; k < len; k++)
    if (!text[k]) text[k] = ',';
  if (letter == 'i') log_line(HW_INFO, text, len);
  else set_header_value(HW_RESPONSE, name, 3, text, len);
}

static void field(char op, const char *p) {
  u32 kind = (u32)(*p++ - '0'), len = length(p), eq = 0;
  while (eq < len && p[eq] != '=') eq++;
  if (op == 'h') set_header_value(kind, p, eq, p + eq + 1, len - eq - 1);
  else if (op == 'H') add_header_value(kind, p, eq, p + eq + 1, len - eq - 1);
  else if (op == 'd') remove_header(kind, p, len);
  else {
    u64 r = op == 'g' ? get_header_values(kind, p, len, out + 16, 4096) : get_header_names(kind, out + 16, 4096);
    u32 n = decimal(out, (u32)(r >> 32));
    out[n] = ':';
    for (u32 k = 0; k < (u32)r; k++) out[n + 1 + k] = out[16 + k];
    tell(op, out, n + 1 + (u32)r);
  }
}

static void read(char op, const char *p) {
  u32 kind = (u32)(*p++ - '0'), size = number(&p), len = 0;
  for (;;) {
    u64 r = read_body(kind, out + len, size);
    len += (u32)r;
    if (r >> 32 || op == 'R') break;
  }
  if (len > 100) len = decimal(out, len);
  tell(op == 'q' ? 'i' : 'r', out, len);
}

static void run(const char *p, u32 context, u32 error) {
  while (*p) {
    char op = *p++;
    const char *q = p;
    u32 len = length(p);
    switch (op) {
    case 'm': tell(op, out, get_method(out, 4096)); break;
    case 'u': tell(op, out, get_uri(out, 4096)); break;
    case 'v':
      if (len) write_body(1, out, get_protocol_version(out, 4096));
      else tell(op, out, get_protocol_version(out, 4096));
      break;
    case 'a': tell(op, out, get_source_addr(out, 4096)); break;
    case 's': tell(op, out, decimal(out, get_status_code())); break;
    case 'c': tell(op, config, config_len); break;
    case 'i': {
      char line[] = "ctx=000 err=0";
      line[4] += (char)(context / 100), line[5] += (char)(context / 10 % 10), line[6] += (char)(context % 10);
      line[12] += (char)error;
      tell(op, line, sizeof line - 1);
      break;
    }
    case 'M': set_method(p, len); break;
    case 'U': set_uri(p, len); break;
    case 'S': set_status_code(number(&q)); break;
    case 'e': enable_features(number(&q)); break;
    case 'E': tell(op, out, decimal(out, enable_features(0))); break;
    case 'h': case 'H': case 'd': case 'g': case 'n': field(op, p); break;
    case 'r': case 'R': case 'q': read(op, p); break;
    case 'w': write_body((u32)(*p - '0'), p + 1, len - 1); break;
    case 'l': log_line(*p - '1', p + 1, len - 1); break;
    case 'L': tell(op, out, decimal(out, log_enabled(*p - '1'))); break;
    case 'b': {
      out[0] = '?';
      u32 n = get_method(out, number(&q));
      out[1] = (char)('0' + n);
      tell(op, out, 2);
      break;
    }
    case '0': next = 0; break;
    case 't': __builtin_trap();
    case 'o': log_line(HW_INFO, (char *)0x7ffffff0, 64); break;
    case 'O': get_method((char *)0x7ffffff0, 64); break;
    case 'z': for (;;) handling++;
    }
    p += len;
    if (*p == ';') p++;
  }
}

static u32 load(const char *name, u32 len) {
  u64 r = get_header_values(HW_REQUEST, name, len, script, sizeof script - 1);
  script[(u32)r] = 0;
  return (u32)(r >> 32);
}

HW_EXPORT(_initialize) void initialize(void) {
  config_len = get_config(config, sizeof config);
  if (config_len && config[0] == 'f') enable_features((u32)(config[1] - '0'));
  if (config_len && config[0] == 't') {
    log_line(HW_ERROR, "no configuration for me", 23);
    __builtin_trap();
  }
}

HW_EXPORT(handle_request) u64 handle_request(void) {
  next = 1;
  if (handling) __builtin_trap();
  handling = 1;
  if (load("x-do", 4)) run(script, 0, 0);
  if (!next) handling = 0;
  return (u64)42 << 32 | next;
}

HW_EXPORT(handle_response) void handle_response(u32 context, u32 error) {
  if (load("x-then", 6)) run(script, context, error);
  handling = 0;
}
