# `make` lists the targets. `make demo` and `make test` need Python 3.11+ and make: they set up the rest
# inside this folder (.uv/ where uv is not installed, and .venv/). Only `make tools` touches the system.
#
#   PYTHON=python3.13   the interpreter to use           VENV=.venv-313   where to install
#   ARGS="-k journal"   passed on to pytest, holdfast demo, the campaigns, or the benchmarks
#   JOBS=4              how many processes run tests, each with servers of its own; 0: pytest itself

PYTHON ?= python3
VENV   := .venv
ARGS   :=
JOBS   := 3

# What is optional for a user and tested here.
EXTRAS := redis postgres mongo encrypt metrics

BIN   := $(VENV)/bin
READY := $(VENV)/.ready

# A uv that runs is used; otherwise one is installed into .uv/.
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .uv/bin/uv)

# uv uses the Python named above, the system's certificates (as pip does), and pip's own settings if given.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS ?= 1
export UV_LINK_MODE ?= copy
export UV_NO_PROGRESS ?= 1
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check pytest crash conformance campaign reliability fuzz bench bench-stores tools lock setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## trade on a simulated exchange, be killed again and again, and lose nothing
	@$(BIN)/holdfast demo $(ARGS)

test: check pytest ## everything: lint, format, types, tests

check: $(READY) ## lint, format and types only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

pytest: $(READY) ## the tests only
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

crash: $(READY) ## kill a bot 2,000 times at random instants, and count what is lost; it goes on where it was
	@$(BIN)/python -m holdfast.testing.campaign $(ARGS)

fuzz: .venv-fuzz/.ready ## feed all that reads with damaged bytes, led by coverage, and count; it goes on where it was
	@.venv-fuzz/bin/python -m holdfast.testing.fuzzing --engine atheris $(ARGS)

EVIDENCE := -m holdfast.testing.evidence

conformance: $(READY) ## try every promise on every backend and setting: minutes; writes the page
	@$(BIN)/python $(EVIDENCE) conformance $(ARGS)

campaign: $(READY) ## every way of trying, by turns: ARGS="--minutes 60"; it goes on where it was
	@$(BIN)/python $(EVIDENCE) campaign $(ARGS)

reliability: $(READY) ## write docs/reliability.md from the ledger, docs/evidence.jsonl
	@$(BIN)/python $(EVIDENCE) page $(ARGS)

bench: $(READY) ## measure this machine: commits a second, recovery, backtests
	$(BIN)/python -m benchmarks $(ARGS)

TOOLS := strace redis-server postgresql

bench-stores: $(READY) .venv-bench/.ready ## every backend against bare drivers and other stores, on real servers
	.venv-bench/bin/python -m benchmarks stores $(ARGS)

tools: ## install strace, redis-server and postgresql with apt-get, as root; starts no service; touches the system
	@.ci/tools $(TOOLS)

lock: $(UV) ## choose the newest versions that fit, and pin them in requirements/
	@$(UV) pip compile pyproject.toml $(EXTRAS:%=--extra %) --group dev --universal --python-version 3.11 --upgrade \
	    --no-header --no-annotate --quiet --output-file requirements/dev.txt >/dev/null
	@sed -i '1i # Made by `make lock`, for every platform and Python that is supported.' requirements/dev.txt
	@$(UV) pip compile pyproject.toml $(EXTRAS:%=--extra %) --group bench --universal --python-version 3.11 --upgrade \
	    --no-header --no-annotate --quiet --output-file requirements/bench.txt >/dev/null
	@sed -i '1i # Made by `make lock`: what `make bench-stores` compares with.' requirements/bench.txt
	@$(UV) pip compile pyproject.toml $(EXTRAS:%=--extra %) --extra testing --group fuzz --universal --python-version 3.11 \
	    --upgrade --no-header --no-annotate --quiet --output-file requirements/fuzz.txt >/dev/null
	@sed -i '1i # Made by `make lock`: what `make fuzz` needs.' requirements/fuzz.txt
	@git diff --stat -- requirements

setup: $(READY) ## only set up (demo and test do it themselves)

clean: ## remove what make made, and every cache
	rm -rf .uv .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp: what is pinned is installed, and this project with it, editable.
$(READY): pyproject.toml requirements/dev.txt | $(UV)
	@$(require-python)
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
	@$(UV) pip install --quiet --python $(VENV) --requirement requirements/dev.txt
	@$(UV) pip install --quiet --python $(VENV) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-bench/.ready: pyproject.toml requirements/bench.txt | $(UV)
	@echo "setting up .venv-bench"
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv-bench
	@$(UV) pip install --quiet --python .venv-bench --requirement requirements/bench.txt hatchling
	@$(UV) pip install --quiet --python .venv-bench --no-deps --no-build-isolation --editable .
	@touch $@

.venv-fuzz/.ready: pyproject.toml requirements/fuzz.txt | $(UV)
	@echo "setting up .venv-fuzz"
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" .venv-fuzz
	@$(UV) pip install --quiet --python .venv-fuzz --requirement requirements/fuzz.txt hatchling
	@$(UV) pip install --quiet --python .venv-fuzz --no-deps --no-build-isolation --editable .
	@touch $@

.uv/bin/uv: requirements/uv.txt
	@$(require-python)
	@echo "setting up uv in .uv/"
	@$(PYTHON) -m venv .uv || { rm -rf .uv; \
	    echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: apt-get install python3-venv." >&2; \
	    echo "Or install uv (any way you like): make uses it if it is on PATH." >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements/uv.txt
	@touch $@

define require-python
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
    echo "Holdfast needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>/dev/null || echo not found)." >&2; \
    echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
endef
