#!/bin/sh
# Rebuilds the example guests: all of them, or those named. The committed .wasm files are what it makes with clang and
# lld 14 and the AssemblyScript of ab-split/package-lock.json; other versions may place code differently.
#
#   examples/wasm/build.sh [greeter | auth | two-headers | ab-split | security-headers] ...
set -eu
cd "$(dirname "$0")"

c_guest() {
	"${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Wextra -Wno-unused-parameter \
		-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "$1/$1.wasm" "$1/src/$1.c"
	chmod 644 "$1/$1.wasm"
}

assemblyscript_guest() {
	(cd "$1" && npm ci --silent --no-audit --no-fund && npm run --silent build)
}

go_guest() {
	(cd "$1" && GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -buildmode=c-shared -ldflags="-s -w -buildid=" -o "$1.wasm" .)
}

for guest in ${*:-greeter auth two-headers ab-split security-headers}; do
	case $guest in
	greeter | auth | two-headers) c_guest "$guest" ;;
	ab-split) assemblyscript_guest "$guest" ;;
	security-headers) go_guest "$guest" ;;
	*) echo "build.sh: no example called $guest" >&2 && exit 2 ;;
	esac
done
