# make run, make test: on a fresh machine they install what they need first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DOCS := $(VENV)/docs
FIGURES := docs/figures
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := $(wildcard fastchat/_speedups/*.pyx fastchat/_speedups/*.pxd)

# Stamps in the virtual environment, so that they vanish with it.
INSTALLED := $(VENV)/installed.stamp
EDITABLE := $(VENV)/editable.stamp
COMPILED := $(VENV)/compiled.stamp
LOCUST := $(VENV)/locust.stamp

.PHONY: help run build test check format bench bench-steps instructions bench-deep loadtest figures plots faults autobahn docs catalog rehearse clean
.DELETE_ON_ERROR:

help:
	@echo "make run       start the server with demo users; PORT and other settings from the environment"
	@echo "make test      run all tests, in PROCESSES processes"
	@echo "make build     virtual environment in .venv, compiled; then .venv/bin/fastchat works"
	@echo "make check     format, lint, types, import rule"
	@echo "make format    format all Python code"
	@echo "make bench     the benchmarks here and in the commit before, compared; BASE=COMMIT"
	@echo "make bench-steps  run the benchmarks of the steps of a message; those of the database too"
	@echo "make instructions  count what a message costs, without a clock; ARGS=--update"
	@echo "make bench-deep  pages of the history in a table of ten million rows"
	@echo "make loadtest  a short load with reports in reports/, and every documented limit; ARGS=--help"
	@echo "make figures   measure what docs/performance.md plots, and plot it; an hour, on a quiet machine"
	@echo "make plots     draw the plots of docs/performance.md again, from docs/figures"
	@echo "make faults    hundreds of faults under a million messages, each kind checked; half an hour"
	@echo "make autobahn  run the WebSocket conformance suite; needs a Python 2.7"
	@echo "make docs      write the generated documents again, and build the site in site/"
	@echo "make catalog   describe the tables anew for fastchat doctor, after a new migration"
	@echo "make rehearse  try deploy/ on this machine; needs nginx, HAProxy, Prometheus and helm"
	@echo "make clean     remove what was built; .venv and .fastchat stay"

run: build
	NODE_ENV=development exec $(BIN)/fastchat serve

build: $(COMPILED)

# More processes than cores: tests wait for time-outs and other processes most of the time.
test: build
	.ci/chromium
	$(BIN)/python -m pytest --numprocesses=$(or $(PROCESSES),3) --dist=worksteal $(ARGS)

check: build
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint fastchat
	$(BIN)/lint-imports

format: build
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: build
	$(BIN)/python -m benchmarks.compare $(if $(BASE),--base $(BASE)) $(ARGS)

instructions: build
	.ci/valgrind
	$(BIN)/python -m benchmarks.instructions $(ARGS)

bench-steps: build
	$(BIN)/python -m pytest benchmarks --benchmark-columns=min,median,ops --benchmark-sort=name $(ARGS)

bench-deep: build
	$(BIN)/python -m benchmarks.deep_history --rows $(or $(ROWS),10000000)

loadtest: build $(LOCUST)
	$(BIN)/python -m loadtests.run $(ARGS)

figures: ROWS ?= 10000,10000000
figures: CONNECTIONS ?= 0,1000,5000,20000
figures: build
	$(BIN)/python -m loadtests.offered_load --csv $(FIGURES)/offered_load.csv
	$(BIN)/python -m loadtests.idle_memory --connections 0,1000,2000,5000,10000 --csv $(FIGURES)/memory.csv
	$(BIN)/python -m loadtests.scaling --connections $(CONNECTIONS) --csv $(FIGURES)/connections.csv --on 2
	$(BIN)/python -m loadtests.scaling --rows $(ROWS) --csv $(FIGURES)/rows.csv
	$(MAKE) plots

plots: $(DOCS)/installed.stamp
	$(DOCS)/bin/python benchmarks/plots.py

faults: build
	$(BIN)/python -m tests.faults $(ARGS)

autobahn: build
	tests/conformance/run.sh $(CASES)

docs: build plots
	$(BIN)/fastchat config --docs > docs/configuration.md
	$(BIN)/fastchat schema --json-schema > docs/schema/protocol.schema.json
	$(BIN)/fastchat schema --asyncapi > docs/schema/asyncapi.json
	$(BIN)/fastchat schema --openapi > docs/schema/openapi.json
	$(BIN)/python clients/js/generate.py
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

catalog: build
	$(BIN)/python -m tests.functional.store.catalog

rehearse: build
	PATH="$$PATH:/usr/sbin" $(BIN)/python -m deploy.rehearse

clean:
	rm -rf build dist reports site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	rm -f fastchat/_speedups/*.so fastchat/_speedups/*.c fastchat/_speedups/*.html $(EDITABLE) $(COMPILED)
	find fastchat tests benchmarks loadtests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	PYTHON="$(PYTHON)" .ci/prerequisites
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The lock names everything, build requirements too, so nothing is resolved or fetched later.
$(INSTALLED): requirements.lock | $(BIN)/python
	$(PIP) install --no-deps --requirement requirements.lock
	@touch $@

# Only the load tests need it, and it brings much with it.
$(LOCUST): loadtests/requirements.lock | $(INSTALLED)
	$(PIP) install --no-deps --requirement loadtests/requirements.lock
	@touch $@

# An environment of its own: it shares no version with the others.
$(DOCS)/installed.stamp: docs/requirements.txt | $(BIN)/python
	$(BIN)/python -m venv $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --requirement docs/requirements.txt
	@touch $@

$(COMPILED): $(INSTALLED) $(EDITABLE) setup.py $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

# Other compiler settings mean that everything is compiled again.
$(EDITABLE): $(INSTALLED) pyproject.toml setup.py
	rm -f fastchat/_speedups/*.so fastchat/_speedups/*.c
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
