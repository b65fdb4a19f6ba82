# The commands of this repository. Each sets up what it needs: nothing has to be done before.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HUBLET ?= $(VENV)-hublet
PEERS ?= $(VENV)-peers
HOST ?= 127.0.0.1
PORT ?= 8000
SECONDS ?= 60
# Most tests wait for other processes; more of them at once would keep those from their processors.
PROCESSES ?= 2
SOURCES := setup.py pyproject.toml $(shell find entry runtime patches servers loadtests/locusts -name '*.py' -o -name '*.pyx' -o -name '*.pxd')

.PHONY: serve test test-all lint bench compare bench-check chaos autobahn psycopg2-suite pymysql-suite fuzz docs clean packages

serve: $(VENV)/.built-demo  ## build hublet and serve the demo on http://HOST:PORT
	$(BIN)/hublet examples.ticker.app:app --bind $(HOST):$(PORT) --grace 2

test: $(VENV)/.built-test  ## install what tests need, then run every test
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(ARGS)

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

bench: $(VENV)/.built-bench $(HUBLET)/.built $(PEERS)/.built  ## parts of the comparison, chosen by ARGS: --only, --servers, --rounds, --duration
	BENCH_HUBLET=$(abspath $(HUBLET))/bin/python BENCH_PEERS=$(abspath $(PEERS))/bin/python $(BIN)/python -m loadtests.bench $(ARGS)

compare:  ## hublet beside its peers, all of it in 35 minutes (ARGS="--budget N": N; ARGS=--quick: 8, into build/benchmarks): writes docs/benchmarks.*, README.rst's block
	$(MAKE) bench ARGS="--compare $(ARGS)"

bench-check: $(VENV)/.built-test  ## fail if a request costs over 3 % more instructions than was ever recorded (ARGS: --update, --accept REASON)
	$(BIN)/python -m loadtests.instructions $(ARGS)

chaos: $(VENV)/.built-test  ## reloads, killed workers and upgrades under load: writes docs/chaos.md and docs/chaos.json
	$(BIN)/python -m loadtests.chaos $(ARGS)

autobahn: $(VENV)/.built-test  ## every case of the Autobahn WebSocket Testsuite against hublet
	$(BIN)/python -m tests.autobahn $(ARGS)

psycopg2-suite: $(VENV)/.built-test  ## psycopg2's own tests, patched, against a private PostgreSQL
	$(BIN)/python -m tests.patches.suites.psycopg2_suite $(ARGS)

pymysql-suite: $(VENV)/.built-test  ## PyMySQL's own tests, patched, against a private MariaDB
	$(BIN)/python -m tests.patches.suites.pymysql_suite $(ARGS)

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
$(VENV)/.built-test $(VENV)/.built-bench $(HUBLET)/.built $(PEERS)/.built: | packages

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

# What is compared is installed as users install it. The development environment imports much at each start, and what
# the other servers need must never meet what hublet needs: both have an environment of their own.
$(HUBLET)/.built: $(SOURCES)
	$(PYTHON) -m venv $(HUBLET)
	$(HUBLET)/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(HUBLET)/bin/pip install --quiet .
	$(HUBLET)/bin/pip install --quiet --group subject
	touch $@

$(PEERS)/.built: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(PEERS)/bin/pip install --quiet --group peers
	touch $@
