// The workloads of AssemblyScript: each takes a seed and returns a checksum.
let state: u32 = 1;
function next(): u32 {
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

export function sort(seed: u32): u32 {
	state = seed | 1;
	const a = new Array<i32>(1000);
	for (let i = 0; i < a.length; i++) a[i] = next() as i32;
	a.sort((x, y) => x < y ? -1 : x > y ? 1 : 0);
	let sum: u32 = 0;
	for (let i = 0; i < a.length; i++) sum = sum * 31 + (a[i] as u32);
	return sum;
}

export function strings(seed: u32): u32 {
	state = seed | 1;
	let s = "";
	for (let i = 0; i < 200; i++) s += (next() % 1000).toString() + ",";
	const parts = s.split(",");
	let sum: u32 = 0;
	for (let i = 0; i < parts.length; i++) {
		const p = parts[i].toUpperCase().trim();
		if (p.length > 0) sum = sum * 31 + (parseInt(p) as u32);
	}
	return sum + s.indexOf("999");
}

export function counts(seed: u32): u32 {
	state = seed | 1;
	const m = new Map<string, i32>();
	for (let i = 0; i < 1000; i++) {
		const k = "key" + (next() % 100).toString();
		m.set(k, m.has(k) ? m.get(k) + 1 : 1);
	}
	let sum: u32 = 0;
	const keys = m.keys();
	for (let i = 0; i < keys.length; i++) sum = sum * 31 + m.get(keys[i]) * keys[i].length;
	return sum;
}

export function sieve(seed: u32): u32 {
	const n = 20000 + ((seed & 255) as i32);
	const a = new Uint8Array(n);
	let sum: u32 = 0;
	for (let i = 2; i < n; i++) {
		if (a[i]) continue;
		sum = sum * 31 + i;
		for (let j = i * 2; j < n; j += i) a[j] = 1;
	}
	return sum;
}

class Node {
	left: Node | null = null;
	right: Node | null = null;
	constructor(public key: u32) {}
}

function insert(n: Node | null, key: u32): Node {
	if (n === null) return new Node(key);
	if (key < n.key) n.left = insert(n.left, key);
	else n.right = insert(n.right, key);
	return n;
}

function fold(n: Node | null, sum: u32): u32 {
	return n === null ? sum : fold(n.right, fold(n.left, sum) * 31 + n.key);
}

export function tree(seed: u32): u32 {
	state = seed | 1;
	let root: Node | null = null;
	for (let i = 0; i < 1000; i++) root = insert(root, next());
	return fold(root, 0);
}
