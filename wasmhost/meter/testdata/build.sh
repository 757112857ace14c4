#!/bin/sh
# Rebuilds the committed workloads: work-c.wasm with clang and lld 14, work-as.wasm with AssemblyScript 0.28.20.
set -eu
cd "$(dirname "$0")"
"${CLANG:-clang}" --target=wasm32 -O2 -mbulk-memory -nostdlib -ffreestanding -Wall -Wextra -Wl,--no-entry -o work-c.wasm work.c
chmod 644 work-c.wasm
npx --yes -p assemblyscript@0.28.20 asc work.ts -O3 --runtime incremental --use abort= -o work-as.wasm
