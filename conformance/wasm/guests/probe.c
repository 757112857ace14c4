// probe is a Proxy-Wasm guest that does what it is told: it makes any host call with any operands from any callback, and
// misbehaves in every way it knows. Streams read what to do from the request header x-do, the root context from the
// plugin's configuration. Both are written like this:
//
//   request_headers: proxy_get_header_map_value 0 'x-a' ??; say 200 | log: trap unreachable
//
// Sections belong to callbacks. Each command is a word and its operands:
//
//   123  -1  0xffff0000   a number              'text'   where it lies and how long it is ('~' stands for a NUL)
//   [a=b,c=d]             the same of a map     ?  ?v    a place for 32 bits to be given back, kept as v
//   ??                    places for a text     ?8       a place for 64 bits      $v   what was kept as v
//
// A host call adds "name=status" to the stream's report, and ":value" for what it gave back. The others are in other(),
// below. What done, log, delete and the callbacks of the root context report goes to a journal of the instance.
//
// Build: ./build.sh
#include "host.h"

enum { SLOTS = 64, SCRIPT = 2048, REPORT = 6144, MAX_ARGS = 12 };

typedef struct {
  u32 context, script_len, report_len;
  char script[SCRIPT], report[REPORT];
} stream;

static stream streams[SLOTS], root, journal;
static stream *now;      // whose report is written
static u32 here;         // the context whose callback runs
static u32 action;       // what the callback returns
static u32 variables[128];
static struct { u32 id, context; } asked[SLOTS];
static volatile u32 spin;

static int equal(const char *a, u32 n, const char *word) {
  for (u32 k = 0; k < n; k++)
    if (a[k] != word[k] || !word[k]) return 0;
  return word[n] == 0;
}

static void put(char c) {
  if (now->report_len < REPORT) now->report[now->report_len++] = c < ' ' || c > '~' ? ',' : c;
}

static void put_text(const char *s, u32 n) {
  for (u32 k = 0; k < n; k++) put(s[k]);
}

static void put_number(u64 n) {
  char digits[20];
  u32 k = 0;
  do digits[k++] = (char)('0' + n % 10);
  while (n /= 10);
  while (k) put(digits[--k]);
}

static void put_word(const char *s) {
  while (*s) put(*s++);
}

// ---- the allocator -------------------------------------------------------------------------------------------------

extern char __heap_base;
static u32 top;
static char allocator = 'g'; // the first letter of how it behaves

static char *reserve(u32 size) {
  if (!top) top = (u32)&__heap_base;
  u32 at = (top + 15) & ~15u, have = (u32)__builtin_wasm_memory_size(0) << 16;
  if (size > 0x40000000 || at + size < at) return 0;
  if (at + size > have && __builtin_wasm_memory_grow(0, (at + size - have + 0xffff) >> 16) == (usize)-1) return 0;
  top = at + size;
  return (char *)at;
}

EXPORT(proxy_on_memory_allocate) void *allocate(u32 size) {
  u32 cell;
  switch (allocator) {
  case 'z': return 0;                                           // zero
  case 'o': return (void *)0xfffffff0u;                         // out of bounds
  case 'e': return (void *)(((u32)__builtin_wasm_memory_size(0) << 16) - 1); // the last byte
  case 's': return &__heap_base;                                // the same each time
  case 'l': for (;;) spin++;                                    // loop
  case 't': __builtin_trap();                                   // trap
  case 'r': return allocate(size + 1);                          // recurse
  case 'c':                                                     // call the host
    proxy_log(2, "from the allocator", 18);
    proxy_get_header_map_value(0, "x-do", 4, &cell, &cell);
    proxy_send_local_response(200, 0, 0, "stolen", 6, 0, 0, -1);
    return reserve(size);
  }
  return reserve(size);
}

// ---- misbehaviour --------------------------------------------------------------------------------------------------

static __attribute__((noinline)) u32 deeper(u32 n) {
  volatile u32 local[64];
  local[n % 64] = n;
  return n == 0xffffffff ? 0 : deeper(n + 1) + local[n % 64];
}

#define DOUBLE(n, m) static __attribute__((noinline)) void twice##n(void) { twice##m(); twice##m(); }
static __attribute__((noinline)) void twice0(void) { spin++; }
DOUBLE(1, 0) DOUBLE(2, 1) DOUBLE(3, 2) DOUBLE(4, 3) DOUBLE(5, 4) DOUBLE(6, 5) DOUBLE(7, 6) DOUBLE(8, 7) DOUBLE(9, 8)
DOUBLE(10, 9) DOUBLE(11, 10) DOUBLE(12, 11) DOUBLE(13, 12) DOUBLE(14, 13) DOUBLE(15, 14) DOUBLE(16, 15) DOUBLE(17, 16)
DOUBLE(18, 17) DOUBLE(19, 18) DOUBLE(20, 19) DOUBLE(21, 20) DOUBLE(22, 21) DOUBLE(23, 22) DOUBLE(24, 23) DOUBLE(25, 24)
DOUBLE(26, 25) DOUBLE(27, 26) DOUBLE(28, 27) DOUBLE(29, 28) DOUBLE(30, 29) DOUBLE(31, 30) DOUBLE(32, 31) DOUBLE(33, 32)
DOUBLE(34, 33) DOUBLE(35, 34) DOUBLE(36, 35) DOUBLE(37, 36) DOUBLE(38, 37) DOUBLE(39, 38) DOUBLE(40, 39)

typedef u32 (*function)(u32);
static volatile function other_type = (function)(usize)&twice0;

static void trap(const char *how, u32 n) {
  if (equal(how, n, "memory")) *(volatile u32 *)(0xfffffff0u - spin % 2) = 1;
  if (equal(how, n, "arithmetic")) spin = 1000 / (spin - spin);
  if (equal(how, n, "call")) ((function)(usize)(12345 + spin % 2))(1);
  if (equal(how, n, "type")) other_type(1);
  if (equal(how, n, "exit")) proc_exit(3);
  __builtin_trap();
}

// bomb takes all the memory there is, then fills and copies it again and again.
static void bomb(u32 rounds) {
  u32 from = (u32)__builtin_wasm_memory_size(0) << 16;
  for (u32 step = 4096; step; )
    if (__builtin_wasm_memory_grow(0, step) == (usize)-1) step /= 2;
  u32 len = ((u32)__builtin_wasm_memory_size(0) << 16) - from;
  put_word(" pages="), put_number(__builtin_wasm_memory_size(0));
  for (u32 k = 0; k < rounds; k++) {
    __builtin_memset((char *)from, (int)k + 1, len);
    if (len > 8) __builtin_memmove((char *)from + 8, (char *)from, len - 8);
  }
}

// scan counts how often a text lies in this instance's memory. Its last character is asked for as the one before it, so that nothing
// finds the question.
static u32 scan(const char *text, u32 n) {
  u32 found = 0, end = (u32)__builtin_wasm_memory_size(0) << 16;
  for (char *at = (char *)1024; (u32)at + n <= end; at++) {
    u32 k = 0;
    while (k + 1 < n && at[k] == text[k]) k++;
    if (k + 1 == n && at[k] == text[k] + 1) found++;
  }
  return found;
}

// headers adds n fields of that size to a map and says how many were taken.
static void headers(u32 map, u32 n, u32 size) {
  char name[] = "x-bomb-000000", *value = reserve(size);
  u32 taken = 0;
  if (!value) return;
  for (u32 k = 0; k < size; k++) value[k] = 'b';
  for (u32 i = 0; i < n; i++) {
    for (u32 k = 0, m = i; k < 6; k++, m /= 10) name[12 - k] = (char)('0' + m % 10);
    taken += proxy_add_header_map_value(map, name, 13, value, size) == 0;
  }
  put_word(" taken="), put_number(taken);
}

// fill puts n values of that size into the shared data, a queue or the metrics, and says how many were refused.
static void fill(char into, u32 n, u32 size) {
  char name[] = "suite.000000", *value = reserve(size);
  u32 refused = 0, id;
  if (!value) return;
  for (u32 i = 0; i < n; i++) {
    for (u32 k = 0, m = i; k < 6; k++, m /= 10) name[11 - k] = (char)('0' + m % 10);
    if (into == 's') refused += proxy_set_shared_data((u32)name, 12, (u32)value, size, 0) != 0;
    if (into == 'e') refused += proxy_enqueue_shared_queue(variables['q'], (u32)value, size) != 0;
    if (into == 'd') refused += proxy_define_metric(0, (u32)name, 12, (u32)&id) != 0;
  }
  put_word(" refused="), put_number(refused);
}

// ---- the commands --------------------------------------------------------------------------------------------------

static struct {
  char kind; // 1, 2, 8 as ?, ??, ?8, or 0
  u32 at;
  char name;
} outs[MAX_ARGS];
static u32 args[MAX_ARGS], n_args, n_outs;
static u64 wide;       // the last number as 64 bits
static u64 cells[16];  // places for what is given back
static const char *word_at[MAX_ARGS];
static u32 word_len[MAX_ARGS], n_words;

static void argument(u32 v) {
  if (n_args < MAX_ARGS) args[n_args++] = v;
}

static u32 map_of(const char *s, u32 n, char **out) {
  u32 pairs = n > 0, size = 4;
  for (u32 k = 0; k < n; k++) pairs += s[k] == ',';
  size += 8 * pairs + n + pairs;
  char *b = *out = reserve(size + 8);
  if (!b || !pairs) return 0;
  *(u32 *)b = pairs;
  char *to = b + 4 + 8 * pairs;
  for (u32 p = 0, at = 0; p < pairs; p++, at++) {
    u32 key = at;
    while (at < n && s[at] != '=' && s[at] != ',') *to++ = s[at++];
    ((u32 *)b)[1 + 2 * p] = at - key;
    *to++ = 0;
    u32 value = at < n && s[at] == '=' ? ++at : at;
    while (at < n && s[at] != ',') *to++ = s[at++];
    ((u32 *)b)[2 + 2 * p] = at - value;
    *to++ = 0;
  }
  return (u32)(to - b);
}

static const char *operand(const char *p, const char *end) {
  const char *from = p;
  if (*p == '\'' || *p == '[') {
    char close = *p == '[' ? ']' : '\'', *text = 0;
    while (++p < end && *p != close) {}
    u32 n = (u32)(p - from) - 1;
    if (close == ']') n = map_of(from + 1, n, &text);
    else if ((text = reserve(n + 1)))
      for (u32 k = 0; k < n; k++) text[k] = from[1 + k] == '~' ? 0 : from[1 + k];
    argument((u32)text), argument(n);
    return p + 1;
  }
  while (p < end && *p != ' ' && *p != ';') p++;
  u32 n = (u32)(p - from);
  if (*from == '?' && n_outs < MAX_ARGS) {
    u64 *cell = &cells[n_outs];
    *cell = 0;
    outs[n_outs].kind = n > 1 && from[1] == '?' ? 2 : n > 1 && from[1] == '8' ? 8 : 1;
    outs[n_outs].name = n > 1 && outs[n_outs].kind == 1 ? from[1] : 0;
    outs[n_outs++].at = (u32)cell;
    argument((u32)cell);
    if (n > 1 && from[1] == '?') argument((u32)cell + 4);
  } else if (*from == '$') {
    argument(variables[from[1] & 127]);
  } else if (*from == '-' || (*from >= '0' && *from <= '9')) {
    const char *q = from + (*from == '-');
    u64 v = 0, base = 10;
    if (p - q > 2 && q[1] == 'x') base = 16, q += 2;
    for (; q < p; q++) v = v * base + (u64)(*q <= '9' ? *q - '0' : *q - 'a' + 10);
    wide = *from == '-' ? -v : v;
    argument((u32)wide);
  } else if (n_words < MAX_ARGS) {
    word_at[n_words] = from, word_len[n_words++] = n;
  }
  return p;
}

static void given(void) {
  for (u32 k = 0; k < n_outs; k++) {
    u32 *cell = (u32 *)outs[k].at;
    put(':');
    if (outs[k].kind == 8) put_number(*(u64 *)cell);
    else if (outs[k].kind == 1) put_number(*cell);
    else if (cell[1] == 8 && *(u8 *)(cell[0] + 7) == 0) put_number(*(u64 *)cell[0]);
    else if (cell[1] <= REPORT) put_text((char *)cell[0], cell[1]);
    else put_number(cell[1]);
    if (outs[k].name) variables[outs[k].name & 127] = *cell;
  }
}

static void other(const char *name, u32 n, const char *script, u32 script_len);

static void command(const char *p, const char *end, const char *script, u32 script_len) {
  const char *name = p;
  while (p < end && *p != ' ') p++;
  u32 n = (u32)(p - name);
  n_args = n_outs = n_words = 0;
  while (p < end) {
    if (*p == ' ') p++;
    else p = operand(p, end);
  }
  for (u32 k = 0; k < sizeof host_calls / sizeof *host_calls; k++) {
    if (!equal(name, n, host_calls[k].name)) continue;
    u32 status = make(&host_calls[k], args, wide);
    if (status == 0 && (equal(name, n, "proxy_http_call") || equal(name, n, "proxy_grpc_call") || equal(name, n, "proxy_grpc_stream"))) {
      u32 id = *(u32 *)outs[0].at;
      asked[id % SLOTS].id = id, asked[id % SLOTS].context = now == &root ? 0 : now->context;
    }
    put(' '), put_word(host_calls[k].name + (n > 6 && host_calls[k].name[5] == '_' ? 6 : 0)), put('='), put_number(status);
    given();
    return;
  }
  other(name, n, script, script_len);
}

// other does what is no host call.
static void other(const char *name, u32 n, const char *script, u32 script_len) {
  if (equal(name, n, "say"))          // answer with the report
    proxy_send_local_response(n_args ? args[0] : 200, 0, 0, now->report, now->report_len, 0, 0, -1);
  else if (equal(name, n, "tell"))    // put the report into the response header x-report
    proxy_replace_header_map_value(2, "x-report", 8, now->report, now->report_len);
  else if (equal(name, n, "ask"))     // put it into the request header x-report
    proxy_replace_header_map_value(0, "x-report", 8, now->report, now->report_len);
  else if (equal(name, n, "print"))   // put it into the log
    proxy_log(2, now->report, now->report_len);
  else if (equal(name, n, "journal")) // add the journal to the report
    put(' '), put_text(journal.report, journal.report_len);
  else if (equal(name, n, "forget")) journal.report_len = 0;
  else if (equal(name, n, "return")) action = args[0];
  else if (equal(name, n, "pause")) action = 1;
  else if (equal(name, n, "remember")) variables['c'] = here; // for other callbacks
  else if (equal(name, n, "context")) put_word(" context="), put_number(here);
  else if (equal(name, n, "self")) proxy_set_effective_context(here);
  else if (equal(name, n, "scan")) put_word(" found="), put_number(scan((char *)args[0], args[1]));
  else if (equal(name, n, "allocator")) allocator = *word_at[0];
  else if (equal(name, n, "trap")) trap(n_words ? word_at[0] : "", n_words ? word_len[0] : 0);
  else if (equal(name, n, "loop")) for (;;) spin++;
  else if (equal(name, n, "recurse")) spin = deeper(0);
  else if (equal(name, n, "double")) twice40();
  else if (equal(name, n, "bomb")) bomb(args[0]);
  else if (equal(name, n, "headers")) headers(args[0], args[1], args[2]);
  else if (equal(name, n, "store") || equal(name, n, "enqueue")) fill(*name, args[0], args[1]);
  else if (equal(name, n, "define")) fill(*name, args[0], 0);
  else if (equal(name, n, "flood")) for (u32 k = args[0]; k--;) proxy_get_current_time_nanoseconds(&cells[0]);
  else if (equal(name, n, "lines")) for (u32 k = args[0]; k--;) proxy_log(2, script, script_len);
  else put_word(" what is "), put_text(name, n), put('?');
}

// run makes what the script says for a callback. When that is over, top falls back to where it was, and the allocator behaves.
static void run(stream *who, const char *callback) {
  u32 floor = top;
  const char *p = who->script, *end = p + who->script_len;
  now = who;
  while (p < end) {
    while (p < end && *p == ' ') p++;
    const char *name = p;
    while (p < end && *p != ':' && *p != '|') p++;
    int mine = p < end && *p == ':' && equal(name, (u32)(p - name), callback);
    if (p < end && *p == ':') p++;
    while (p < end && *p != '|') {
      while (p < end && (*p == ' ' || *p == ';')) p++;
      const char *from = p;
      for (char in = 0; p < end && (in || (*p != ';' && *p != '|')); p++) {
        if (in ? *p == in : *p == '\'' || *p == '[') in = in ? 0 : *p == '[' ? ']' : '\'';
      }
      if (mine && p > from) command(from, p, who->script, who->script_len);
    }
    p++;
  }
  top = floor, allocator = 'g';
}

static void note(const char *callback, stream *who) {
  now = &journal;
  put(' '), put_word(callback);
  u32 from = who->report_len;
  run(who, callback);
  now = &journal;
  put_text(who->report + from, who->report_len - from);
}

static stream *find(u32 context) { return &streams[context % SLOTS]; }

static u32 event(u32 context, const char *callback) {
  here = context, action = 0;
  run(find(context), callback);
  return action;
}

static u32 root_event(u32 context, const char *callback) {
  here = context, action = 0;
  root.report_len = 0;
  note(callback, &root);
  return action;
}

// ---- the callbacks -------------------------------------------------------------------------------------------------

EXPORT(proxy_on_context_create) void on_context_create(u32 context, u32 parent) {
  u32 at[2] = {0, 0};
  stream *s = parent ? find(context) : &root;
  here = s->context = context, s->script_len = s->report_len = 0;
  if (parent ? proxy_get_header_map_value(0, "x-do", 4, &at[0], &at[1]) == 0
             : proxy_get_buffer_bytes(7, 0, SCRIPT, &at[0], &at[1]) == 0)
    for (; s->script_len < at[1] && s->script_len < SCRIPT; s->script_len++) s->script[s->script_len] = ((char *)at[0])[s->script_len];
  top = 0;
  if (parent) run(s, "context_create");
  else root_event(context, "root_context_create");
}

EXPORT(proxy_on_vm_start) u32 on_vm_start(u32 context, u32 size) { return root_event(context, "vm_start") == 0; }
EXPORT(proxy_on_configure) u32 on_configure(u32 context, u32 size) { return root_event(context, "configure") == 0; }
EXPORT(proxy_on_tick) void on_tick(u32 context) { root_event(context, "tick"); }

EXPORT(proxy_on_queue_ready) void on_queue_ready(u32 context, u32 id) {
  variables['q'] = id;
  root_event(context, "queue_ready");
}

EXPORT(proxy_on_foreign_function) void on_foreign_function(u32 context, u32 id, u32 size) {
  root_event(context, "foreign_function");
}

#ifdef ABI_0_1_0
EXPORT(proxy_abi_version_0_1_0) void abi(void) {}
EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 c, u32 n) { return event(c, "request_headers"); }
EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 c, u32 n) { return event(c, "response_headers"); }
#else
#ifdef ABI_0_2_0
EXPORT(proxy_abi_version_0_2_0) void abi(void) {}
#else
EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
#endif

static u32 head(u32 context, u32 n, u32 end, const char *callback) {
  variables['n'] = n, variables['e'] = end;
  return event(context, callback);
}

EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 c, u32 n, u32 end) { return head(c, n, end, "request_headers"); }
EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 c, u32 n, u32 end) { return head(c, n, end, "response_headers"); }
#endif

static u32 body(u32 context, u32 size, u32 end, const char *callback) {
  variables['n'] = size, variables['e'] = end;
  return event(context, end ? callback : callback[2] == 'q' ? "request_piece" : "response_piece");
}

EXPORT(proxy_on_request_body) u32 on_request_body(u32 c, u32 n, u32 end) { return body(c, n, end, "request_body"); }
EXPORT(proxy_on_response_body) u32 on_response_body(u32 c, u32 n, u32 end) { return body(c, n, end, "response_body"); }
EXPORT(proxy_on_request_trailers) u32 on_request_trailers(u32 c, u32 n) { return event(c, "request_trailers"); }
EXPORT(proxy_on_response_trailers) u32 on_response_trailers(u32 c, u32 n) { return event(c, "response_trailers"); }

// answered runs a section of the stream that made the call, in its context.
static void answered(u32 id, u32 n, const char *callback) {
  u32 context = asked[id % SLOTS].id == id ? asked[id % SLOTS].context : 0;
  variables['n'] = n, variables['i'] = id;
  if (!context) root_event(root.context, callback);
  else if (proxy_set_effective_context(context) == 0) event(context, callback);
}

EXPORT(proxy_on_http_call_response) void on_http_call_response(u32 r, u32 id, u32 n, u32 size, u32 trailers) {
  answered(id, n, "http_call_response");
}
EXPORT(proxy_on_grpc_receive_initial_metadata) void on_grpc_initial(u32 r, u32 id, u32 n) { answered(id, n, "grpc_receive_initial_metadata"); }
EXPORT(proxy_on_grpc_receive) void on_grpc_receive(u32 r, u32 id, u32 size) { answered(id, size, "grpc_receive"); }
EXPORT(proxy_on_grpc_receive_trailing_metadata) void on_grpc_trailing(u32 r, u32 id, u32 n) { answered(id, n, "grpc_receive_trailing_metadata"); }
EXPORT(proxy_on_grpc_close) void on_grpc_close(u32 r, u32 id, u32 status) { answered(id, status, "grpc_close"); }

static stream *ending(u32 context) {
  here = context, action = 0;
  return context == root.context ? &root : find(context);
}

EXPORT(proxy_on_done) u32 on_done(u32 context) {
  note("done", ending(context));
  return action == 0;
}
EXPORT(proxy_on_log) void on_log(u32 context) { note("log", ending(context)); }
EXPORT(proxy_on_delete) void on_delete(u32 context) { note("delete", ending(context)); }
