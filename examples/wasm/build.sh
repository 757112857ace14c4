#!/bin/sh
# Rebuilds the example guests: all of them, or those named. The committed .wasm files are what it makes with clang and
# lld 14 and the AssemblyScript of ab-split/package-lock.json; other versions may place code differently.
#
#   examples/wasm/build.sh [greeter | auth | two-headers | redact | refresh | ab-split | security-headers] ...
#
# Each goes beside its source, or, with OUT set to an existing directory's absolute path, there.
set -eu
cd "$(dirname "$0")"
here=$PWD

c_guest() {
	"${CLANG:-clang}" --target=wasm32 -O2 -nostdlib -ffreestanding -fno-builtin -Wall -Wextra -Wno-unused-parameter \
		-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -o "$2" "$1/src/$1.c"
	chmod 644 "$2"
}

assemblyscript_guest() {
	(cd "$1" && npm ci --silent --no-audit --no-fund && npm run --silent build -- --outFile "$2")
}

go_guest() {
	(cd "$1" && GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -buildmode=c-shared -ldflags="-s -w -buildid=" -o "$2" .)
}

for guest in ${*:-greeter auth two-headers redact refresh ab-split security-headers}; do
	wasm=${OUT:-$here/$guest}/$guest.wasm
	case $guest in
	greeter | auth | two-headers | redact | refresh) c_guest "$guest" "$wasm" ;;
	ab-split) assemblyscript_guest "$guest" "$wasm" ;;
	security-headers) go_guest "$guest" "$wasm" ;;
	*) echo "build.sh: no example called $guest" >&2 && exit 2 ;;
	esac
done
