#!/bin/sh
# Rebuilds the guests that fail: c (clang and lld 14), rust (rustc 1.63 with the target wasm32-unknown-unknown), as (npm).
# Names are kept: the tests look for them in stacks.
set -eu
cd "$(dirname "$0")"
for language in ${*:-c rust as}; do
	case $language in
	c) "${CLANG:-clang}" --target=wasm32 -O1 -nostdlib -ffreestanding -fno-builtin -Wl,--no-entry -Wl,--strip-debug \
		-Wl,-z,stack-size=16384 -o fails-c.wasm fails.c ;;
	rust) "${RUSTC:-rustc}" --target wasm32-unknown-unknown --crate-type cdylib --edition 2021 -C opt-level=z -C panic=abort \
		-C strip=debuginfo -C overflow-checks=off -C link-arg=-zstack-size=16384 -o fails-rust.wasm fails.rs ;;
	as) npx --yes --package assemblyscript@0.28.20 asc fails.ts -Oz --debug --runtime stub --outFile fails-as.wasm ;;
	*) echo "build.sh: no language called $language" >&2 && exit 2 ;;
	esac
done
