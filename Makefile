# One command for each habit; continuous integration runs the same ones.

# The interpreter that makes .venv, and the release of PyTorch that the tests are run with.
PYTHON ?= python3
TORCH  ?= torch==2.13.0

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install --disable-pip-version-check
NPM  := $(BIN)/python hatch_build.py npm

# A stamp is touched when its step succeeds, so that a second run starts at once.
RUNTIME  := $(VENV)/.runtime
DEV      := $(VENV)/.dev
DOCS     := $(VENV)/.docs
NODE     := $(VENV)/.node

# What the extra "lrp" installs, for the tests: alone, since it asks for a torchvision, and that for a PyTorch of its own.
ZENNIT ?= zennit==0.5.1

# The peers need torchvision, and with it its own release of PyTorch: they get an environment of their own.
BENCH_TORCH ?= torch==2.14.1 torchvision==0.29.1
BENCH       := .venv-bench/.bench

# Likewise the networks of other libraries, which come with torchvision.
ANY := .venv-any/.any

WEBTOOLS := web/node_modules/.package-lock.json

WEB_SOURCES := $(shell find web -name node_modules -prune -o -type f -print 2>/dev/null)
PAGE        := src/segscope/server/static/index.html

.PHONY: help demo test test-sources check bench docs wheel clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    set everything up and open the explorer on the bundled network and images"
	@echo "make test    set everything up and run all tests (browser tests where Chromium is found)"
	@echo "make test-sources  install the libraries whose networks can be loaded, and run the tests of the model sources"
	@echo "make check   lint, types, docstrings, and the web page's own checks and tests"
	@echo "make bench   measure against peers"
	@echo "make docs    build the documentation into build/docs"
	@echo "make wheel   build the wheel, web page included, into dist"
	@echo "make clean   remove everything that these commands made"

demo: $(RUNTIME)
	@$(BIN)/segscope demo $(ARGS) || test $$? -eq 130 # Ctrl-C is how one ends it

test: $(DEV)
	$(BIN)/python -m pytest $(ARGS)

test-sources: $(ANY)
	.venv-any/bin/python -m pytest tests/sources tests/web/test_any_network.py $(ARGS)

check: $(DEV) $(NODE) $(WEBTOOLS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@if grep -n '"resolved"' web/package-lock.json; then echo "web/package-lock.json names a registry: see web/.npmrc"; exit 1; fi
	$(NPM) run check
	$(NPM) test

bench: $(BENCH)
	.venv-bench/bin/python -m benchmarks $(ARGS)

docs: $(DOCS)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs build/docs
	@if grep -rnE '<(script|link|img)[^>]+(src|href)="(https?:)?//' build/docs --include='*.html'; then \
		echo "These pages load from another host; they must do without."; exit 1; fi
	@echo "The documentation is in build/docs/index.html"

wheel: $(RUNTIME)
	rm -f dist/*.whl
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) .venv-bench .venv-any build dist docs/reference web/node_modules src/segscope/server/static src/segscope/server/static.*
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "segscope needs Python 3.10 or later; choose one with: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

# Where the page is missing, the installation below builds it.
$(PAGE):

SOURCES := pyproject.toml hatch_build.py $(WEB_SOURCES) $(PAGE)

$(RUNTIME): $(SOURCES) | $(BIN)/python
	$(PIP) "$(TORCH)" --editable .
	@touch $@

$(DEV): $(SOURCES) | $(BIN)/python
	$(PIP) "$(TORCH)" --editable ".[dev]"
	$(PIP) --no-deps "$(ZENNIT)"
	@touch $(RUNTIME) $@

$(DOCS): $(SOURCES) | $(BIN)/python
	$(PIP) "$(TORCH)" --editable ".[docs]"
	@touch $(RUNTIME) $@

$(BENCH): $(SOURCES) | $(BIN)/python
	$(BIN)/python -m venv .venv-bench
	.venv-bench/bin/python -m pip install --disable-pip-version-check $(BENCH_TORCH) --editable ".[bench]"
	@touch $@

$(ANY): $(SOURCES) | $(BIN)/python
	$(BIN)/python -m venv .venv-any
	.venv-any/bin/python -m pip install --disable-pip-version-check $(BENCH_TORCH) --editable ".[test,sources]"
	@touch $@

# Where the machine has no node that is new enough, one from Python's package index.
$(NODE): hatch_build.py | $(DEV)
	@requirements="$$($(BIN)/python hatch_build.py requirements)"; test -z "$$requirements" || $(PIP) "$$requirements"
	@touch $@

$(WEBTOOLS): web/package.json web/package-lock.json | $(NODE)
	$(NPM) ci --no-audit --no-fund
	@touch $@
