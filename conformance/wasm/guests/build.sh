#!/bin/sh
# Rebuilds the guests of these suites with clang and lld 14: probe for each version of the ABI, and relay. With OUT set to an existing
# directory's absolute path they go there.
set -eu
cd "$(dirname "$0")"
out=${OUT:-$PWD}

build() {
	"${CLANG:-clang}" --target=wasm32 -Oz -mbulk-memory -nostdlib -ffreestanding -fno-builtin -Wall -Wextra -Wno-unused-parameter \
		-Wno-cast-function-type -Wno-infinite-recursion -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 "$@"
}

for version in 0_1_0 0_2_0 0_2_1; do
	build -DABI_$version -o "$out/probe-$version.wasm" probe.c
	chmod 644 "$out/probe-$version.wasm"
done
build -o "$out/relay.wasm" relay.c
chmod 644 "$out/relay.wasm"
