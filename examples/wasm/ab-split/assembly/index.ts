// ab-split puts each visitor into bucket a or b, and keeps them there by a cookie.
//
// The upstream learns the bucket from the request header x-ab-bucket; a value the client sent never passes. A visitor
// without a valid cookie gets a bucket by a hash of the request's id, and a Set-Cookie in the response.
//
// Configuration: {"percent": 50, "cookie": "ab"}: how many of a hundred visitors go to a, and the cookie's name. Both
// are optional.
// Build: ../build.sh ab-split (needs node and npm)
import * as proxy from "./proxy";

export { proxy_on_memory_allocate } from "./proxy";

const MONTH = 30 * 24 * 3600; // how long the cookie lives, in seconds

let percent: i32 = 50;
let cookie = "ab";

// The buckets of new visitors whose response is still to come, by context.
const fresh = new Map<u32, string>();

// stop is what assertions and other errors of the language's own end in.
export function stop(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_configure(context: u32, size: usize): bool {
  const config = proxy.configuration(size);
  const share = jsonNumber(config, "percent");
  if (share > 100) {
    proxy.logError('"percent" is 0 to 100');
    return false;
  }
  if (share >= 0) percent = share;
  const name = jsonString(config, "cookie");
  if (name != "") cookie = name;
  return true;
}

export function proxy_on_request_headers(context: u32, count: u32, end: bool): u32 {
  let bucket = cookieValue(proxy.header(proxy.REQUEST_HEADERS, "cookie"), cookie);
  if (bucket != "a" && bucket != "b") {
    bucket = <i32>(hash(seed()) % 100) < percent ? "a" : "b";
    fresh.set(context, bucket);
  }
  proxy.setHeader(proxy.REQUEST_HEADERS, "x-ab-bucket", bucket);
  return 0;
}

export function proxy_on_response_headers(context: u32, count: u32, end: bool): u32 {
  if (fresh.has(context)) {
    const value = `${cookie}=${fresh.get(context)}; Path=/; Max-Age=${MONTH}; SameSite=Lax`;
    proxy.addHeader(proxy.RESPONSE_HEADERS, "set-cookie", value);
  }
  return 0;
}

export function proxy_on_delete(context: u32): void {
  fresh.delete(context);
}

// seed is what tells one new visitor from the next: the request's id, or else the time.
function seed(): string {
  let id = proxy.property("request\0id");
  if (id == "") id = proxy.header(proxy.REQUEST_HEADERS, "x-request-id");
  return id != "" ? id : proxy.now().toString();
}

// hash is FNV-1a, mixed so that its remainders are even.
function hash(text: string): u32 {
  let h: u32 = 2166136261;
  for (let i = 0; i < text.length; i++) h = (h ^ <u32>text.charCodeAt(i)) * 16777619;
  h = (h ^ (h >> 16)) * 0x85ebca6b;
  return h ^ (h >> 13);
}

function cookieValue(header: string, name: string): string {
  const pairs = header.split(";");
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i].trim();
    if (pair.startsWith(name + "=")) return pair.substring(name.length + 1);
  }
  return "";
}

// after is what follows a key of a flat JSON object.
function after(object: string, key: string): string {
  const at = object.indexOf('"' + key + '"');
  if (at < 0) return "";
  const rest = object.substring(at + key.length + 2).trimStart();
  return rest.startsWith(":") ? rest.substring(1).trimStart() : "";
}

function jsonString(object: string, key: string): string {
  const value = after(object, key);
  const end = value.indexOf('"', 1);
  return value.startsWith('"') && end > 0 ? value.substring(1, end) : "";
}

// jsonNumber is a number of at most three digits, or -1.
function jsonNumber(object: string, key: string): i32 {
  const value = after(object, key);
  let n = -1;
  for (let i = 0; i < min(value.length, 4); i++) {
    const c = value.charCodeAt(i) - 48;
    if (c < 0 || c > 9) break;
    n = max(n, 0) * 10 + c;
  }
  return n;
}
