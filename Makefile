# make test    everything that must pass; installs what it needs into .tools
# make test-long  what takes too long for every change: kills, random operations, h2spec, the package
# make check   formatter, clippy, schema
# make rust    Rust tests
# make clients Python and Go clients against the real server
# make languages  what docs/other-languages.md shows, against the real server
# make readme  README.md's snippets
# make instructions  what a call takes of the processor, beside what it took before; needs
#              valgrind, which it installs where Debian's packages can be
# make observe  dashboard, alerts and their pages, beside what a server under load shows to a
#              Prometheus, which comes from Debian's package and is not installed
# make bench   how fast creditd is here, and whether it meets its goals; ARGS="--help" says what
#              can be chosen
# make fuzz    random bytes for every parser of outside bytes; ARGS="--help" says what can be
#              chosen. Needs cargo-fuzz and a nightly compiler
# make generate  the clients' generated code, docs/errors.md
# make site    the pages of docs/ as a site, in target/site
# make install  creditd into PREFIX (/usr/local), its configuration into SYSCONFDIR (/etc), below
#              DESTDIR where that is given; first cargo build --release, as the user that you are
# make deb     a Debian package of the release program, in target/deb
# make dist    what a release has, in target/dist: archive, package, sources, SBOM, clients, sums
# make setup   only install what the tests need, grpcurl too

.PHONY: test test-long check rust clients languages readme instructions observe bench fuzz generate site install deb dist setup

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc

test:
	@python3 scripts/test.py

test-long:
	@python3 scripts/test.py setup long

check:
	@python3 scripts/test.py setup check schema

rust:
	@python3 scripts/test.py setup rust

clients:
	@python3 scripts/test.py setup rust clients python go

languages:
	@python3 scripts/test.py setup rust languages

readme:
	@python3 scripts/test.py setup release readme

instructions:
	@python3 scripts/test.py setup release instructions

observe:
	@python3 scripts/test.py setup release observe

bench: setup
	@scripts/h2load.sh
	@cargo build --quiet --release -p creditd-yardstick
	@cargo bench --quiet --bench speed -- --rows-of benches/clients/rows.sh $(ARGS)

fuzz:
	@python3 scripts/fuzz.py $(ARGS)

site: setup
	@scripts/site.sh

install:
	@deploy/install.sh target/release/creditd "$(DESTDIR)" "$(PREFIX)" "$(SYSCONFDIR)"

deb:
	@cargo build --quiet --release
	@deploy/debian/build.sh

dist: setup
	@cargo build --quiet --release
	@scripts/dist.py

setup:
	@scripts/setup.sh

generate: setup
	PYTHON=$(CURDIR)/.tools/venv/bin/python clients/python/generate.sh
	PYTHON=$(CURDIR)/.tools/venv/bin/python TOOLS_BIN=$(CURDIR)/.tools/bin clients/go/generate.sh
	UPDATE=1 cargo test --quiet --test it reasons
