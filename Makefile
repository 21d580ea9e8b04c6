# The entry point: `make run` serves, `make test` proves, `make check` is exactly CI.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
TRANSPORT ?= granian
BIN = $(VENV)/bin
PY = $(BIN)/python
export PATH := $(abspath $(BIN)):$(PATH)
STAMP = $(VENV)/.kpgate-setup
SOURCES = $(wildcard kpgate/_fast/*.pyx kpgate/_fast/*.pxd kpgate/_fast/*.h kpgate/_fast/*.py) setup.py \
	$(wildcard kpgate/*.py kpgate/*/*.py kpgate/*/*.pxd kpgate/dialects/openai/*.py)

.PHONY: help run setup build debug sanitize fmt lint types stubs test docs check bench profile clean

help:
	@echo "make run    build and serve the demo on 127.0.0.1:8080"
	@echo "make test   the whole test suite"
	@echo "make check  what CI runs: format, lint, types, stubs, tests, house rules"
	@echo "make bench  the governed benchmark, beside nginx where it is installed"
	@echo "make profile where a governed call's time goes: flame graph, shares, instructions, phases (TRANSPORT=direct)"

$(STAMP): pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip setuptools
	$(PY) -m pip install --quiet --disable-pip-version-check "Cython>=3.3,<4" "unicodedata2==16.0.0"
	$(PY) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['dependencies'] + p['optional-dependencies']['dev']))" > $(VENV)/requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	touch $(STAMP)

setup: $(STAMP)

build/.stamp: $(STAMP) $(SOURCES)
	$(PY) setup.py --quiet build_ext --inplace -j 2
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

types: build
	$(BIN)/mypy

stubs: build
	$(PY) -m mypy.stubtest $(patsubst kpgate/_fast/%.pyx,kpgate._fast.%,$(wildcard kpgate/_fast/*.pyx))

test: build
	$(PY) -m pytest -n $(JOBS)

bench: build
	$(PY) -m bench governed
	$(PY) -m bench report

profile: build
	$(PY) -m bench profile --transport $(TRANSPORT)

docs: build
	$(PY) -m kpgate.app.reference

check: lint types stubs test

clean:
	rm -rf build kpgate/_fast/*.c
	find kpgate -name '*.so' -delete
