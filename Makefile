# The verbs of this repository. CONTRIBUTING.md says when to use which.

FUZZTIME ?= 30s
# Not the meter: it has no goroutines, and compiling its bombs under the race detector takes minutes.
RACED = ./mpm/... ./filters/... ./wasmhost ./wasmhost/proxywasm ./wasmhost/httpwasm ./runtime/... ./cmd/...

.PHONY: build check test race conform fuzz bench guests

build:
	go build -o edge ./cmd/edge

check: # format, vet, both architectures, the house rules
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	GOARCH=arm64 go vet ./...
	go test ./conformance/house

test:
	go test ./...
	go test ./runtime/server -tls

race: # the engine and the host under the race detector, and with ownership turned into panics
	go test -race $(RACED)
	go test -race -timeout 5m ./runtime/server -tls
	go test -tags ownercheck ./mpm/... ./filters/...

conform: # black-box suites against the binary, at full size, one after the other: each loads the machine
	EDGE_FULL=1 go test -count=1 -p 1 -timeout 30m ./conformance/...

fuzz: # every fuzzer, FUZZTIME each
	@go list ./... | while read -r pkg; do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f" && go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

bench: # beside nginx, Apache httpd and Caddy; needs nginx, wrk, h2load and taskset
	go run ./conformance/bench

guests: # rebuild the example guests and say whether the committed ones are what their sources make
	examples/wasm/build.sh
	conformance/wasm/guests/build.sh
	git diff --exit-code -- '*.wasm'
