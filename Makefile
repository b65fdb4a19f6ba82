# The commands of this repository. Each sets up what it needs: nothing has to be done before.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
SECONDS ?= 60
SOURCES := setup.py pyproject.toml $(shell find entry runtime patches servers -name '*.py' -o -name '*.pyx' -o -name '*.pxd')

.PHONY: serve test test-all lint bench autobahn fuzz docs clean packages

serve: $(VENV)/.built-demo  ## build hublet and serve the demo on http://HOST:PORT
	$(BIN)/hublet examples.ticker.app:app --bind $(HOST):$(PORT) --grace 2

test: $(VENV)/.built-test  ## install what tests need, then run every test
	$(BIN)/python -m pytest $(ARGS)

test-all: ## the tests on every interpreter from 3.11 to 3.13 that is found
	@found=0; for version in 3.11 3.12 3.13; do \
	  if python$$version -c '' 2>/dev/null; then \
	    found=1; echo "== Python $$version"; \
	    $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "== Python $$version: not found"; fi; \
	done; test $$found = 1

lint: $(VENV)/.built-lint  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p hublet -p tests -p loadtests -p examples

bench: $(VENV)/.built-bench  ## hublet beside its peers: writes docs/benchmarks.md and docs/benchmarks.json
	$(BIN)/python -m loadtests.bench $(ARGS)

autobahn: $(VENV)/.built-test  ## every case of the Autobahn WebSocket Testsuite against hublet
	$(BIN)/python -m tests.autobahn $(ARGS)

fuzz: $(VENV)/.built-test  ## fuzz the parsers, each for SECONDS
	$(BIN)/python -m tests.fuzz.heads --seconds $(SECONDS)
	$(BIN)/python -m tests.fuzz.frames --seconds $(SECONDS)

docs: $(VENV)/.built-test  ## write the generated parts of docs/
	$(BIN)/python -m hublet.servers.settings_reference
	$(BIN)/python -m hublet.patches.reference

clean:  ## remove everything that was built
	rm -rf build dist .venv .venv-* *.egg-info
	find entry runtime patches servers -name '*.so' -delete

packages:
	tests/install-packages.sh

# Before the stamps of their groups: bjoern is compiled against a Debian package. Lint and the demo need none.
$(VENV)/.built-test $(VENV)/.built-bench: | packages

# One environment; a stamp for each set of packages that a command needs.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.built: $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.built-demo $(VENV)/.built-test $(VENV)/.built-bench $(VENV)/.built-lint: $(VENV)/.built-%: $(VENV)/.built
	$(BIN)/pip install --quiet --group $*
	touch $@
