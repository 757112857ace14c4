// Workloads by which metering is measured and held against the same code unmetered: each takes a seed and returns a
// checksum.
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))

static uint32_t state;
static uint32_t next(void) {
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void *move(void *to, const void *from, uint32_t n) {
	return __builtin_memcpy(to, from, n);
}

static int32_t numbers[2048], spare[2048];

static void merge_sort(int32_t *a, int32_t *b, int n) {
	if (n <= 8) {
		for (int i = 1; i < n; i++) {
			int32_t v = a[i];
			int j = i;
			for (; j > 0 && a[j - 1] > v; j--)
				a[j] = a[j - 1];
			a[j] = v;
		}
		return;
	}
	int h = n / 2, i = 0, j = h, k = 0;
	merge_sort(a, b, h);
	merge_sort(a + h, b, n - h);
	while (i < h && j < n)
		b[k++] = a[i] <= a[j] ? a[i++] : a[j++];
	while (i < h)
		b[k++] = a[i++];
	move(a, b, k * sizeof *a);
}

EXPORT(sort) uint32_t sort(uint32_t seed) {
	uint32_t sum = 0;
	state = seed | 1;
	for (int i = 0; i < 2048; i++)
		numbers[i] = (int32_t)next();
	merge_sort(numbers, spare, 2048);
	for (int i = 0; i < 2048; i++)
		sum = sum * 31 + (uint32_t)numbers[i];
	return sum;
}

static uint8_t text[16384];

static void fill_text(uint32_t seed) {
	static const char letters[] = "etaoin shrdlu{}[]:,\"0123456789";
	state = seed | 1;
	for (unsigned i = 0; i < sizeof text; i++)
		text[i] = letters[next() % (sizeof letters - 1)];
}

EXPORT(crc) uint32_t crc(uint32_t seed) {
	static uint32_t table[256];
	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
			table[i] = c;
		}
	uint32_t c = ~0u;
	fill_text(seed);
	for (unsigned i = 0; i < sizeof text; i++)
		c = table[(c ^ text[i]) & 0xff] ^ (c >> 8);
	return ~c;
}

// A tokenizer: words, numbers and punctuation into a hash table with linear probing.
EXPORT(words) uint32_t words(uint32_t seed) {
	static uint32_t keys[4096], counts[4096];
	fill_text(seed);
	for (int i = 0; i < 4096; i++)
		keys[i] = counts[i] = 0;
	for (unsigned i = 0; i < sizeof text;) {
		uint32_t h = 2166136261u;
		uint8_t c = text[i];
		if (c >= 'a' && c <= 'z')
			for (; i < sizeof text && text[i] >= 'a' && text[i] <= 'z'; i++)
				h = (h ^ text[i]) * 16777619u;
		else if (c >= '0' && c <= '9')
			for (h = 1; i < sizeof text && text[i] >= '0' && text[i] <= '9'; i++)
				h = h * 10 + text[i] - '0';
		else
			h = (h ^ text[i++]) * 16777619u;
		uint32_t at = h % 4096;
		for (int k = 0; k < 4096 && keys[at] && keys[at] != h; k++)
			at = (at + 1) % 4096;
		if (keys[at] == 0 || keys[at] == h) {
			keys[at] = h;
			counts[at]++;
		}
	}
	uint32_t sum = 0;
	for (int i = 0; i < 4096; i++)
		sum = sum * 31 + counts[i] * keys[i];
	return sum;
}

EXPORT(matrix) uint32_t matrix(uint32_t seed) {
	static double a[48][48], b[48][48], c[48][48];
	state = seed | 1;
	for (int i = 0; i < 48; i++)
		for (int j = 0; j < 48; j++) {
			a[i][j] = next() % 1000;
			b[i][j] = next() % 1000;
		}
	for (int i = 0; i < 48; i++)
		for (int j = 0; j < 48; j++) {
			double s = 0;
			for (int k = 0; k < 48; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s;
		}
	double s = 0;
	for (int i = 0; i < 48; i++)
		for (int j = 0; j < 48; j++)
			s += c[i][j] * (i - j);
	return (uint32_t)(int64_t)s;
}

// One SHA-256 over the text.
EXPORT(sha) uint32_t sha(uint32_t seed) {
	static uint32_t k[64];
	uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	fill_text(seed);
	for (int i = 0; i < 64; i++)
		k[i] = 0x428a2f98u * (2 * i + 1);
#define R(x, n) ((x) >> (n) | (x) << (32 - (n)))
	for (unsigned at = 0; at < sizeof text; at += 64) {
		uint32_t w[64], s[8];
		for (int i = 0; i < 16; i++)
			w[i] = (uint32_t)text[at + 4 * i] << 24 | text[at + 4 * i + 1] << 16 | text[at + 4 * i + 2] << 8 | text[at + 4 * i + 3];
		for (int i = 16; i < 64; i++)
			w[i] = w[i - 16] + (R(w[i - 15], 7) ^ R(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
			       (R(w[i - 2], 17) ^ R(w[i - 2], 19) ^ w[i - 2] >> 10);
		for (int i = 0; i < 8; i++)
			s[i] = h[i];
		for (int i = 0; i < 64; i++) {
			uint32_t t1 = s[7] + (R(s[4], 6) ^ R(s[4], 11) ^ R(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
			uint32_t t2 = (R(s[0], 2) ^ R(s[0], 13) ^ R(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
			for (int j = 7; j > 0; j--)
				s[j] = s[j - 1];
			s[4] += t1;
			s[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			h[i] += s[i];
	}
	return h[0] ^ h[7];
}

// A recursive descent over nested brackets, with calls through a table.
typedef uint32_t (*visit)(uint32_t at, uint32_t depth);
static visit visitors[4];
static uint32_t descend(uint32_t at, uint32_t depth) {
	uint32_t sum = depth * 7;
	if (depth > 6)
		return sum + text[at % sizeof text];
	for (uint32_t i = 0; i < 4; i++)
		sum = sum * 3 + visitors[(text[(at + i) % sizeof text] + i) & 3](at * 5 + i, depth + 1);
	return sum;
}
static uint32_t leaf(uint32_t at, uint32_t depth) { return text[at % sizeof text] * depth; }

EXPORT(tree) uint32_t tree(uint32_t seed) {
	fill_text(seed);
	visitors[0] = descend;
	visitors[1] = leaf;
	visitors[2] = descend;
	visitors[3] = descend;
	return descend(seed, 0);
}
