# The entry point: `make run` serves, `make test` proves, `make check` is exactly CI.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
TRANSPORT ?= granian
BIN = $(VENV)/bin
PY = $(BIN)/python
export PATH := $(abspath $(BIN)):$(PATH)
STAMP = $(VENV)/.kpgate-setup
NPM = tests/kit/callers/npm
CLIENTS = $(NPM)/node_modules/.kpgate-setup
SOURCES = $(wildcard kpgate/_fast/*.pyx kpgate/_fast/*.pxd kpgate/_fast/*.h kpgate/_fast/*.py) setup.py \
	$(wildcard kpgate/*.py kpgate/*/*.py kpgate/*/*.pxd kpgate/dialects/*/*.py)

# What a start loads, compiled to bytecode once and not by each process anew where nothing may be written.
SERVED = kpgate.app.serve, kpgate.app.build, kpgate.app.worker, kpgate.app.direct, kpgate.app.embedded, \
	kpgate.app.clerk_child, kpgate.app.messenger, kpgate.app.token_signing

SECONDS ?= 60
TARGETS ?=

# The compiled modules built in another way, in a copy of the tree: the ordinary build stays as it is.
TREE = kpgate tests setup.py pyproject.toml README.md
define copy_tree
	mkdir -p build/$(1)
	find build/$(1) \( -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -path '*/corpus/*' \) -type f -delete
	tar -c --exclude='*.so' --exclude='kpgate/_fast/*.c' --exclude=__pycache__ --exclude=node_modules $(TREE) | tar -x -C build/$(1)
endef

# The runtimes come before everything else; Python's own allocator would hide what runs over its edge.
RUNTIMES = $(shell $(CC) -print-file-name=libasan.so) $(shell $(CC) -print-file-name=libubsan.so)
SANITIZED = LD_PRELOAD="$(RUNTIMES)" PYTHONMALLOC=malloc UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=64

# A million code points through the oracle take minutes there, nearly all of them in Python.
TOO_LONG = -k "not every_code_point"

.PHONY: dialects help run setup npm build debug sanitize fuzz fmt lint types stubs test sim docs check bench profile soak clean

help:
	@echo "make run    build and serve the demo on 127.0.0.1:8080"
	@echo "make test   the whole test suite"
	@echo "make check  what CI runs: format, lint, types, stubs, tests, house rules"
	@echo "make debug  the compiled modules with assertions and bounds checks, and their tests, in build/debug"
	@echo "make sanitize  the same with the address and undefined-behaviour sanitizers, in build/sanitize"
	@echo "make fuzz SECONDS=60 TARGETS='http1 body'  coverage-guided fuzzing, so long a target; all of them without TARGETS"
	@echo "make bench  the governed benchmark, beside nginx where it is installed"
	@echo "make soak   a million calls beside clients that misbehave: memory and descriptors (TRANSPORT=direct)"
	@echo "make profile where a governed call's time goes: flame graph, shares, instructions, phases (TRANSPORT=direct)"

$(STAMP): pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip setuptools
	$(PY) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['dependencies'] + p['optional-dependencies']['dev']))" > $(VENV)/requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile -r $(VENV)/requirements.txt
	touch $(STAMP)

setup: $(STAMP)

# The vendors' clients from npm, which tests ask with; what runs needs none of it. Registries are verified by the system's
# certificates, as pip does it, not by Node's own.
$(CLIENTS): $(NPM)/package.json $(NPM)/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' && npm --version >/dev/null || \
		{ echo "tests need Node 18.17 or later, and npm (Debian: apt install nodejs npm)" >&2; exit 1; }
	NODE_OPTIONS="$$NODE_OPTIONS --use-openssl-ca" npm ci --prefix $(NPM) --ignore-scripts --no-audit --no-fund --loglevel=error --progress=false >/dev/null
	touch $@

npm: $(CLIENTS)

# What is compiled no more would still stand before its source.
build/.rooms: setup.py
	find kpgate -name '*.so' -delete
	mkdir -p build && touch $@

build/.stamp: $(STAMP) $(SOURCES) build/.rooms
	$(PY) setup.py --quiet build_ext --inplace -j 2
	$(PY) -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'kpgate.pth').write_text('$(CURDIR)\n')"
	printf '#!/bin/sh\nexec "%s" -m kpgate "$$@"\n' "$(abspath $(PY))" > $(BIN)/kpgate
	chmod +x $(BIN)/kpgate
	PYTHONDONTWRITEBYTECODE= $(PY) -c "import $(SERVED)"
	mkdir -p build && touch build/.stamp

build: build/.stamp

run: build
	$(PY) -m kpgate serve --demo

fmt: setup
	$(BIN)/ruff format kpgate bench tests setup.py
	$(BIN)/ruff check --fix kpgate bench tests setup.py

lint: setup
	$(BIN)/ruff format --check kpgate bench tests setup.py
	$(BIN)/ruff check kpgate bench tests setup.py
	$(BIN)/cython-lint kpgate/_fast/*.pyx kpgate/_fast/*.pxd

types: setup
	$(BIN)/mypy

stubs: build
	$(PY) -m mypy.stubtest $(patsubst kpgate/_fast/%.pyx,kpgate._fast.%,$(wildcard kpgate/_fast/*.pyx))

test: build npm
	$(PY) -m pytest -n $(JOBS) --dist worksteal

# What is killed when, and how often: `make sim SEED=7 CYCLES=200 ROUNDS=1000 HISTORIES=500`.
sim: build
	SIM_SEED=$(or $(SEED),1) SIM_CYCLES=$(or $(CYCLES),200) SIM_ROUNDS=$(or $(ROUNDS),1000) \
		SIM_HISTORIES=$(or $(HISTORIES),500) \
		$(PY) -m pytest -o faulthandler_timeout=7200 tests/sim

debug: setup
	$(call copy_tree,debug)
	cd build/debug && DEBUG=1 $(abspath $(PY)) setup.py --quiet build_ext --inplace -j $(JOBS)
	cd build/debug && $(abspath $(PY)) -m pytest -n $(JOBS) tests/fast tests/fuzz

sanitize: setup
	$(call copy_tree,sanitize)
	cd build/sanitize && SANITIZE=1 $(abspath $(PY)) setup.py --quiet build_ext --inplace -j $(JOBS)
	cd build/sanitize && $(SANITIZED) $(abspath $(PY)) -m pytest -n $(JOBS) --timeout 300 $(TOO_LONG) tests/fast tests/fuzz

$(STAMP)-fuzz: $(STAMP)
	$(PY) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['optional-dependencies']['fuzz']))" > $(VENV)/requirements-fuzz.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements-fuzz.txt
	touch $@

fuzz: $(STAMP)-fuzz
	$(call copy_tree,fuzz)
	cd build/fuzz && SANITIZE=1 COVERAGE=1 $(abspath $(PY)) setup.py --quiet build_ext --inplace -j $(JOBS)
	$(CC) -O2 -shared -fPIC -o build/fuzz/libcoverage.so tests/fuzz/coverage.c
	cd build/fuzz && $(SANITIZED) LD_PRELOAD="$(RUNTIMES) $(abspath build/fuzz/libcoverage.so)" \
		$(abspath $(PY)) -m tests.fuzz --seconds $(SECONDS) --keep $(abspath build/findings) $(TARGETS)

bench: build
	$(PY) -m bench governed
	$(PY) -m bench report

profile: build
	$(PY) -m bench profile --transport $(TRANSPORT)

soak: build
	$(PY) -m bench soak --transport $(or $(TRANSPORT),granian)
	$(PY) -m bench report

docs: build
	$(PY) -m kpgate.app.reference

# Every client against every provider's dialect, and what came of it into docs/dialects.md.
dialects: build npm
	$(PY) -m tests.kit.dialect_table

# What reads the sources alone fills the core that the compiler leaves; tests have the machine to themselves.
check: setup
	$(MAKE) --no-print-directory -j $(JOBS) -O build npm lint types stubs
	$(MAKE) test

clean:
	rm -rf build kpgate/_fast/*.c
	find kpgate -name '*.so' -delete
