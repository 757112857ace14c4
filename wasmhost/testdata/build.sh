#!/bin/sh
# Rebuilds the guests of these tests, with clang and lld 14.
set -eu
cd "$(dirname "$0")"
for guest in hold trap script; do
	"${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Wextra -Wno-unused-parameter \
		-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "$guest.wasm" "$guest.c"
	chmod 644 "$guest.wasm"
done
