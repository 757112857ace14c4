#!/bin/sh
# Rebuilds the guests of these tests, with clang and lld 14.
set -eu
cd "$(dirname "$0")"
build() { # guest source options
	guest=$1.wasm source=$2.c
	shift 2
	"${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Wextra -Wno-unused-parameter \
		-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 "$@" -o "$guest" "$source"
	chmod 644 "$guest"
}
for guest in hold trap script keep cost; do
	build "$guest" "$guest"
done
build keep-handler keep -DHANDLER
