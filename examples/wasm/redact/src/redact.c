// redact speaks http-wasm: it hides a word of its configuration in the responses of the origin, and refuses requests whose
// body has it. Both bodies are read whole, so that a word on the border of two pieces is found; what does not fit in
// memory passes for the response and is refused for the request.
//
// Build: ../../build.sh redact
#include "../../include/http_handler.h"

static char word[256], body[256 << 10];
static u32 word_len;

// The start: the word, and the two features without which bodies are not the guest's to read and to change.
HW_EXPORT(_initialize) void initialize(void) {
  word_len = get_config(word, sizeof word);
  if (word_len == 0 || word_len > sizeof word) {
    static const char text[] = "the configuration is the word to hide, of 1 to 256 bytes";
    log_line(HW_ERROR, text, sizeof text - 1);
    __builtin_trap();
  }
  enable_features(HW_BUFFER_REQUEST | HW_BUFFER_RESPONSE);
}

// read_whole returns how much there was; over tells that body is too small.
static u32 read_whole(u32 kind, int *over) {
  u32 len = 0;
  *over = 0;
  while (len < sizeof body) {
    u64 r = read_body(kind, body + len, sizeof body - len);
    len += (u32)r;
    if (r >> 32) return len;
  }
  *over = 1;
  return len;
}

// hide overwrites the word with stars, and returns how often it was there.
static u32 hide(u32 len) {
  u32 found = 0;
  for (u32 at = 0; at + word_len <= len; at++) {
    u32 k = 0;
    while (k < word_len && body[at + k] == word[k]) k++;
    if (k < word_len) continue;
    for (k = 0; k < word_len; k++) body[at + k] = '*';
    found++;
  }
  return found;
}

HW_EXPORT(handle_request) u64 handle_request(void) {
  int over;
  u32 len = read_whole(HW_REQUEST, &over);
  if (!over && !hide(len)) return HW_NEXT(0);
  static const char type[] = "content-type", plain[] = "text/plain", text[] = "not that word\n";
  set_status_code(over ? 413 : 403);
  set_header_value(HW_RESPONSE, type, sizeof type - 1, plain, sizeof plain - 1);
  write_body(HW_RESPONSE, text, sizeof text - 1);
  return HW_ANSWER;
}

HW_EXPORT(handle_response) void handle_response(u32 context, u32 error) {
  int over;
  if (error) return;
  u32 len = read_whole(HW_RESPONSE, &over);
  if (!over && hide(len)) write_body(HW_RESPONSE, body, len);
}
