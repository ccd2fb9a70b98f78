# The verbs of the project, the same on a laptop and in CI.
#
#   make run      build and start a server for trying things out
#   make demo-player   fetch from npm what the pages /demo/play and /demo/webrtc of serve --dev need; then make build
#   make test     vet and every test; needs only Go
#   make race     the tests under the race detector; needs a C compiler
#   make lint     golangci-lint, gofmt, go.mod and generated files are current
#   make gen      write generated files
#   make crash    CRASH_SEEDS histories of an archive whose power fails, and a proof that each sync is
#                 needed: some 40 minutes on two cores, most of them for the proof, with lines of
#                 progress meanwhile; CRASH=PowerFailures and CRASH=EachSync run one alone
#   make fuzz     every fuzz target for FUZZTIME each
#   make bench    the benchmarks of docs/design/performance.md
#   make bench-front   what a call and a start cost, against their goals
#   make bench-archive   storing, listing, playing and starting with what is stored, against the goals:
#                        an hour and 40 GB; the first run makes ten million rows (minutes, 4 GB in
#                        the user's cache directory)
#   make bench-playback   what playlists, segments and clips cost and how long viewers wait,
#                         against the goals; needs what make e2e needs
#   make bench-first-frame   how long a viewer in a browser waits for the first picture of a call; needs
#                         what make e2e needs
#   make bench-identity   what deciding by policies, and finding callers among many, costs, against its goals
#   make bench-signaling   what a message through the hub and an idle connection cost, against an echo
#   make bench-turn   what the relay costs for each packet, to set up and to hold, against coturn's
#                         turnserver, which must be installed
#   make soak-signaling   200 members of signaling channels that come and go for half an hour
#   make soak-turn   24 programs of coturn's that call through the relay, well and badly, for half an hour
#                    behind a warm-up of 14 minutes
#   make soak-memory   300 producers of 50 MB fragments with 256 MiB for all of them
#   make release  archives, checksums and bills of materials of VERSION in dist/
#   make release-check   the same, built twice and compared
#   make install-test    a fresh Debian runs the release by the guide's words alone; as root
#   make e2e      real clients against the real binary; see .ci/run for what it needs
#   make device-tests C_SAMPLES=DIR   the samples of the C SDK for WebRTC against the real binary
#   make fetch    modules, linter and npm packages that the other verbs would fetch
#   make help     this list

GO       ?= go
FUZZTIME ?= 30s
BENCH    ?= .
PKGS     ?= ./...
CRASH_SEEDS ?= 20000
CRASH    ?= PowerFailures|EachSync
VERSION  ?=
TARGETS  ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64

LINT_VERSION := v2.15.0
LINT         := bin/golangci-lint-$(LINT_VERSION)
NODE_MODULES := test/e2e/node_modules/.package-lock.json

export CGO_ENABLED := 0

.PHONY: all run build demo-player test race crash lint gen fuzz bench bench-front bench-archive bench-playback bench-identity bench-signaling bench-turn soak-signaling soak-memory release release-check install-test e2e device-tests fetch clean

all: test build

run: build
	exec bin/millrace serve --dev

build:
	$(GO) build -trimpath -o bin/millrace ./cmd/millrace

# The player of /demo/play and what joins a channel in /demo/webrtc are built in when they are
# there; they are not part of the repository. Both have the Apache license 2.0.
PLAYER := hls.js@1.7.4
CALLER := amazon-kinesis-video-streams-webrtc@2.9.0
demo-player:
	rm -rf bin/player
	mkdir -p bin/player
	npm install --prefix bin/player --no-audit --no-fund --ignore-scripts --no-save --omit=optional $(PLAYER) $(CALLER)
	cp bin/player/node_modules/hls.js/dist/hls.min.js \
	  bin/player/node_modules/amazon-kinesis-video-streams-webrtc/dist/kvs-webrtc.min.js internal/api/watch/player/
	rm -rf bin/player

# What only make crash runs is compiled here, too.
test:
	$(GO) vet ./...
	$(GO) vet -tags crash ./internal/archive/crashtest
	$(GO) test -shuffle=on -timeout 5m $(PKGS)

# SQLite and the C library below it are not watched: they are a C program in Go's words, whose
# memory lies where the race detector does not look, and watching it takes most of the time.
UNWATCHED := -gcflags='modernc.org/sqlite/lib=-race=false' -gcflags='modernc.org/libc/...=-race=false' -gcflags='modernc.org/memory=-race=false'

# Nor is there anything to see where one goroutine works alone for long, and in the tests of the tree.
ALONE := ^(TestFlippedBits|TestFooter|TestADayOfMedia|TestWhatIsListedIsAvailable|TestManual|TestHelp|TestNothingNamesOneMachine)$$

race: export CGO_ENABLED := 1
race:
	$(GO) test -race $(UNWATCHED) -skip '$(ALONE)' -shuffle=on -timeout 15m $(PKGS)

crash:
	CRASH_SEEDS=$(CRASH_SEEDS) $(GO) test -count=1 -timeout 0 -v -tags crash -run '$(CRASH)' ./internal/archive/crashtest

# Generated files are checked by writing them again: whatever is uncommitted before
# must be the same afterwards, so the check works on a dirty tree, too.
state = { git diff; git ls-files --others --exclude-standard; } | git hash-object --stdin

lint: $(LINT)
	$(LINT) run ./...
	@dirty=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	  test -z "$$dirty" || { echo "gofmt these files:"; echo "$$dirty"; exit 1; }
	$(GO) mod tidy -diff
	@before=$$($(state)); $(MAKE) --no-print-directory gen || exit 1; after=$$($(state)); \
	  test "$$before" = "$$after" || { git status --short; git diff; \
	  echo "generated files were stale: commit what make gen wrote"; exit 1; }

$(LINT):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv bin/golangci-lint $@

gen:
	$(GO) generate ./...

fuzz:
	@list=$$($(GO) test -list '^Fuzz' $(PKGS)) || { echo "$$list"; exit 1; }; echo "$$list" | \
	  awk '/^Fuzz/ { name[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, name[i]; n = 0 }' | \
	  while read -r pkg name; do \
	    echo "== $$pkg $$name"; \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$pkg" </dev/null || exit 1; \
	  done

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m $(PKGS)

# test/front follows the versions of this module by itself (-mod=mod).
bench-front: build
	$(GO) test -run '^$$' -bench FrontLimit -benchmem ./internal/quota
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^Benchmark(Front|SessionMemory|ManyStreams|Start|IdleMemory|Size)$$' \
	  -benchtime 1x -timeout 30m .

# With -v each benchmark says that it begins; some take many minutes.
bench-archive: build
	$(GO) test -run '^$$' -bench '^Benchmark(Append|Commit|Rebuild|LostIndex|Scale)$$' -benchtime 1x -v -timeout 60m ./internal/archive
	$(GO) test -run '^$$' -bench '^Benchmark(Persisted|GetMediaReplay)$$' -benchtime 1x -v -timeout 30m ./internal/server
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^Benchmark(DurableIngest|ListFragments|StartAfterKill)$$' \
	  -benchtime 1x -v -timeout 90m .

bench-playback: build $(NODE_MODULES)
	$(GO) test -run '^$$' -bench '^Benchmark(Remux|LivePlaylist|ArchivedPlaylist)$$' -benchmem -timeout 60m \
	  ./internal/playback/... ./internal/api/... ./internal/server
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^Benchmark(Clip|Viewers|SegmentAvailable)$$' \
	  -benchtime 1x -timeout 30m .
	cd test/e2e && $(GO) test -count=1 -run '^$$' -bench '^BenchmarkGlassToGlass$$' \
	  -benchtime 1x -timeout 30m .

bench-identity:
	$(GO) test -run '^$$' -bench '^Benchmark(LookupAmong|LookupPairs|LookupRights|Rights)$$' -benchmem ./internal/iam ./internal/iam/directory
	cd test/signers && $(GO) test -count=1 -run '^$$' -bench '^Benchmark(Decide|Authorize)$$' -benchtime 3x .

bench-signaling: build
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^BenchmarkSignaling(Delay|Memory)$$' -benchtime 1x -timeout 30m .

# The relay it is compared with is Debian's: apt-get install coturn.
bench-turn: build
	@command -v turnserver >/dev/null || { echo "make bench-turn compares the relay with turnserver, which is not installed: apt-get install coturn"; exit 1; }
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^BenchmarkTurn(Relay|SetUp|Memory)$$' -benchtime 1x -timeout 30m .

soak-signaling: build
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^BenchmarkSignalingSoak$$' -benchtime 1x -timeout 90m .

.PHONY: soak-turn
soak-turn: build
	cd test/front && $(GO) test -mod=mod -count=1 -run '^$$' -bench '^BenchmarkTurnSoak$$' -benchtime 1x -timeout 90m .

soak-memory: build
	cd test/e2e && $(GO) test -count=1 -timeout 30m -v -run '^TestManyProducersAndLittleMemory$$' . -fragment 49900000 -budget 256

.PHONY: bench-first-frame
bench-signaling: bench-first-frame
bench-first-frame: build $(NODE_MODULES)
	cd test/e2e && $(GO) test -count=1 -run '^$$' -bench '^BenchmarkFirstFrame$$' -benchtime 1x -timeout 30m .

# What is released is what is committed, with the version as its tag.
release:
	$(GO) run ./deploy/release -version '$(VERSION)' -targets '$(TARGETS)' -out dist

release-check:
	$(GO) run ./deploy/release -version '$(VERSION)' -targets '$(TARGETS)' -out dist -check

install-test:
	test/install/run
	test/install/image

# The page /demo/webrtc is tried with what make demo-player would fetch for it.
e2e: $(NODE_MODULES)
	cp test/e2e/node_modules/amazon-kinesis-video-streams-webrtc/dist/kvs-webrtc.min.js internal/api/watch/player/
	$(MAKE) --no-print-directory build
	cd test/signers && $(GO) test -count=1 ./...
	cd test/front && $(GO) vet -mod=mod ./...
	cd test/e2e && $(GO) test -count=1 -timeout 20m ./...

# The samples are not obtainable everywhere, so this is no part of e2e: DIR holds the programs, built
# from the SDK by its own README, and the folders with sample frames. They need a network of their
# own, which Linux gives to whoever may make user namespaces.
C_SAMPLES ?=
device-tests: build
	cd test/e2e && $(GO) vet -tags devices . && $(GO) test -count=1 -timeout 10m -tags devices -exec "$(CURDIR)/test/e2e/namespace" \
		-run TestCSample . -binary "$(CURDIR)/bin/millrace" -c-samples "$(abspath $(C_SAMPLES))"

$(NODE_MODULES): test/e2e/package-lock.json
	cd test/e2e && npm ci --no-audit --no-fund
	touch $@

fetch: $(LINT) $(NODE_MODULES)
	$(GO) mod download
	cd test/signers && $(GO) mod download
	cd test/front && $(GO) mod download
	cd test/ci && $(GO) mod download
	cd test/acme && $(GO) mod download
	cd test/go2rtc && $(GO) mod download
	cd test/e2e && $(GO) mod download

# What stands at the top of this file.
.PHONY: help
help:
	@sed -n '/^[^#]/q; s/^# \{0,1\}//p' Makefile

clean:
	rm -rf bin dist
