#!/bin/sh
# Rebuilds the guest of these tests, with clang and lld 14.
set -eu
cd "$(dirname "$0")"
"${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Wextra -Wno-unused-parameter \
	-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o version.wasm version.c
chmod 644 version.wasm
