# All commands. `make` alone prints them; what a target does in more than
# a line stands in a script of its own under scripts/.

.DEFAULT_GOAL := help

# Set on the command line only (`make run LISTEN=:9000`): a DATABASE_URL that
# happens to be in the environment belongs to another program, and the
# sandbox must not be seeded into it.
LISTEN       = 127.0.0.1:8080
DATABASE_URL = sqlite://$(CURDIR)/.local/pinvault.db
BENCH        = .
COUNT        = 1
PACKAGES     = impl/pin impl/pinblock impl/pinverification impl/cmac impl/keymaterial impl/keyblock impl/keyring impl/oauth impl/contract impl/server impl/accosa impl/creditplus impl/hashdt impl/hosted impl/issuer impl/networkintl impl/thredd impl/limits impl/capability impl/siem
export FUZZTIME ?= 3s

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help run test check generate verify lint fuzz cover mutate soak simulate contract clients sdk strangers judges keys bench bench-growth bench-peers bench-go docs clean bin/pinvault bin/pinvault-pkcs11 build-pkcs11 cluster chaos release

help:
	@awk -F ' *## ' '/^[a-z0-9-]+:.*## / { sub(/:.*/, "", $$1); printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: bin/pinvault ## build PinVault and serve the sandbox on LISTEN (127.0.0.1:8080), data in DATABASE_URL (.local/pinvault.db)
	@mkdir -p .local
	@exec bin/pinvault serve --sandbox --listen '$(LISTEN)' --database-url '$(DATABASE_URL)'

test: ## get what is missing, and test everything that must hold before a commit: verify, lint, proof that both catch slips, all tests with SQLite and PostgreSQL, a cluster's configuration files, keys and PIN blocks against psec, the keys in SoftHSM2 and OpenBao, a short fuzz, a short contract, the hosted page and the docs in Chromium
	@scripts/test

check: ## the same with what the machine has, getting nothing; says at the end what was left out
	@AS_IS=1 scripts/test

generate: ## write anew what follows from others: generated/ from the contracts in openapi/, what changed since they were released, and in docs/ what the program prints of itself
	@scripts/generate

verify: ## check that generated/ follows from openapi/, that the code is formatted and that go.mod is tidy
	@scripts/verify

lint: ## golangci-lint over the Go code, shellcheck over the scripts, Spectral and Redocly CLI over the documents, oasdiff against the released ones
	@scripts/lint

fuzz: ## every fuzz target for FUZZTIME (3s) each
	@scripts/fuzz

cover: ## how much of each package its own tests cover, which is to be 80 % or more
	@scripts/packages postgresql
	@scripts/with-postgres go run ./scripts/cover

mutate: ## mutation testing of PACKAGES (where PINs are, the contracts and what carries them): which changes of their code their own tests miss; see scripts/mutate/run
	@scripts/mutate/run $(PACKAGES)

soak: ## the long forms of the tests: guesses, hang-ups, kills, crashes, times; about half an hour
	@scripts/packages postgresql
	@scripts/soak

simulate: ## the vault simulated from a SEED (one drawn), crashes and lost replies included, for DURATION (10m) or so many STEPS
	@SEED='$(SEED)' STEPS='$(STEPS)' DURATION='$(or $(DURATION),$(if $(STEPS),,10m))' scripts/simulate

keys: ## the backends of the vault's keys with SoftHSM2 and OpenBao: their suite, keys that go away, every test of the vault and the contracts over each, on both databases; see docs/keys.md
	@LONG=1 scripts/keys

bench: bin/pinvault ## the server against a bare net/http and pgx program, under load on PostgreSQL, and as its database grows; see scripts/bench/README.md
	@scripts/packages postgresql wrk
	@DURABLE=1 scripts/with-postgres go run ./scripts/bench/run
	@mkdir -p .local && scripts/dist/compile "$$(go env GOARCH)" .local/pinvault-released
	@go run ./scripts/bench/footprint .local/pinvault-released
	@scripts/bench/growth/run

bench-growth: bin/pinvault ## the same calls on databases of 10 thousand, 1 million and 10 million cards (SIZES), made by `pinvault import`, and a picture of it; an hour
	@scripts/bench/growth/run

bench-peers: bin/pinvault ## PinVault beside Prism, Mockoon, Specmatic and WireMock from the same document: start, memory, calls a second; see scripts/bench/README.md
	@scripts/bench/peers/run

bench-go: ## the Go benchmarks that match BENCH (all), COUNT (1) times each; targets in scripts/bench/README.md
	@go version
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count '$(COUNT)' ./impl/...

cluster: ## a cluster on this machine: Patroni, etcd, HAProxy, PgBouncer, two servers, in network namespaces; see docs/cluster.md
	@scripts/cluster/run up

chaos: ## break a cluster FAULTS (30) times by SEED while cards are used through every contract, and check what everybody was told; see docs/cluster.md
	@scripts/cluster/chaos/run

release: ## programs for linux amd64 and arm64, Debian packages, lists of what is in them, chart and unit into .local/dist, made twice and compared, each tried; see docs/running.md
	@scripts/packages systemd
	@scripts/dist/run

docs: bin/pinvault ## write what /docs serves as a static site into .local/docs
	@bin/pinvault docs --out .local/docs

contract: ## Schemathesis over every document on PostgreSQL, EXAMPLES (1000) an operation and phase, see schemathesis/README.md, and Redocly Respect over the workflows; then clients, the whole of scripts/browser, and keys
	@scripts/packages postgresql
	@EXAMPLES=$${EXAMPLES:-1000} scripts/with-postgres scripts/contract
	@scripts/with-postgres scripts/clients/run
	@WHOLE=1 scripts/browser/run
	@LONG=1 scripts/keys

clients: ## every contract called as partners call it: requests, fetch, axios, HttpClient, Apache's, Spring's, JOSE and PIN block libraries; see scripts/clients/README.md
	@scripts/clients/run

sdk: ## packages for Python, TypeScript, Java and Go in .local/sdk/dist, installed elsewhere and tried against a sandbox, and the documents' code samples; the Dockerfile's steps; then strangers and judges; see scripts/sdk/README.md
	@scripts/sdk/run
	@scripts/image/run
	@scripts/strangers/run
	@scripts/judges/run

strangers: ## tools that nobody here wrote on the documents that the server serves, with a table of who takes what; see scripts/strangers/README.md
	@scripts/strangers/run

judges: ## Redocly, Spectral and Specmatic on the documents that the server serves, every example sent; see scripts/strangers/README.md
	@scripts/judges/run

clean: ## remove what the others leave behind: bin/ and .local/ (the sandbox's database, the tools, the docs)
	rm -rf bin .local

# Always asked of the go command, which knows best what has changed. Without
# cgo, so that Go is all it takes, and the binary runs on any Linux.
bin/pinvault:
	@[ -e $@ ] || echo 'Building bin/pinvault: the first time downloads the modules and takes a minute or two.'
	@CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags '-X main.version=$(VERSION)' -o $@ ./impl/cmd/pinvault

build-pkcs11: bin/pinvault-pkcs11 ## build bin/pinvault-pkcs11, which keeps keys in a token (PKCS#11): it takes a C compiler, and loads the token's module; see docs/keys.md

bin/pinvault-pkcs11:
	@CGO_ENABLED=1 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $@ ./impl/cmd/pinvault
