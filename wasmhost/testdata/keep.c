// keep puts what each request says in the header x-secret wherever a guest can put it, and answers in x-kept what it found before
// that: how many times a secret stood anywhere in its memory, how many requests it has counted, and its pages of memory. Secrets begin
// with "canary-". With "x-do: trap" it fails then, with "x-do: pause" it pauses.
//
// It is built twice: for Proxy-Wasm, and with -DHANDLER for http-wasm. Build: ./build.sh
#ifdef HANDLER
#include "../../examples/wasm/include/http_handler.h"
#else
#include "../../examples/wasm/include/proxy_wasm.h"
#endif

#define PAGE 65536u
static const char coded[7] = {'c' ^ 85, 'a' ^ 85, 'n' ^ 85, 'a' ^ 85, 'r' ^ 85, 'y' ^ 85, '-' ^ 85}; // or it would find itself
static char kept[5000], answer[64];
static u32 requests, answer_len;

static u32 find(void) {
  const volatile char *memory = 0;
  u32 n = 0, size = (u32)__builtin_wasm_memory_size(0) * PAGE;
  for (u32 at = 16; at + sizeof coded < size; at++) {
    u32 k = 0;
    while (k < sizeof coded && memory[at + k] == (coded[k] ^ 85)) k++;
    n += k == sizeof coded;
  }
  return n;
}

static void number(u32 n) {
  char digits[10];
  u32 k = 0;
  do digits[k++] = (char)('0' + n % 10);
  while (n /= 10);
  while (k) answer[answer_len++] = digits[--k];
  answer[answer_len++] = ' ';
}

static void copy(char *to, const char *from, u32 len) {
  for (u32 k = 0; k < len; k++) to[k] = from[k];
}

static void look(void) {
  answer_len = 0;
  number(find());
  number(++requests);
  number((u32)__builtin_wasm_memory_size(0));
  answer_len--;
}

static void keep(const char *secret, u32 len) {
  volatile char stack[64];
  if (len > sizeof stack) __builtin_trap();
  for (u32 at = 0; at + len < sizeof kept; at += 100) copy(kept + at, secret, len);
  for (u32 k = 0; k < len; k++) stack[k] = secret[k];
  u32 grown = (u32)__builtin_wasm_memory_grow(0, 2) * PAGE;
  copy((char *)grown, secret, len);
  copy((char *)(grown + 2 * PAGE - len), secret, len);
}

#ifdef HANDLER
HW_EXPORT(handle_request) u64 handle_request(void) {
  static char secret[64], what[8];
  look();
  set_header_value(0, "x-kept", 6, answer, answer_len);
  u32 len = (u32)get_header_values(0, "x-secret", 8, secret, sizeof secret);
  keep(secret, len);
  if ((u32)get_header_values(0, "x-do", 4, what, sizeof what) > 1 && what[0] == 't') __builtin_trap();
  return 1;
}

HW_EXPORT(handle_response) void handle_response(u32 context, u32 is_error) {}
#else
PW_EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

PW_EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 fields, u32 end) {
  text secret, what;
  pw_begin();
  look();
  pw_set(PW_REQUEST_HEADERS, T("x-kept"), (text){answer, answer_len});
  pw_get(PW_REQUEST_HEADERS, T("x-secret"), &secret);
  keep(secret.at, (u32)secret.len);
  pw_get(PW_REQUEST_HEADERS, T("x-do"), &what);
  if (pw_equal(what, T("trap"))) __builtin_trap();
  return pw_equal(what, T("pause")) ? PW_PAUSE : PW_CONTINUE;
}
#endif
