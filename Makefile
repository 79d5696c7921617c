# make demo: see it work.   make test: hold it to its promises.   make bench: measure it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test chaos lint types bench lock schemas clean

help: ## Say what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; this is $$($(PYTHON) --version). Set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP) ## Build .venv

demo: install ## One event of every type through real parts into a mailbox
	$(BIN)/dispatcher demo

test: install lint types ## Lint, types and every test
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --cov --cov-report=term-missing:skip-covered $(PYTEST)

chaos: install ## A seeded storm of all faults; CHAOS_SECONDS, CHAOS_SEED, CHAOS_DELIVERIES, CHAOS_DATABASE
	PYTHONPATH=tests $(BIN)/python -m chaos

lint: install ## ruff and the rooms' contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install ## mypy, strict
	$(BIN)/mypy

bench: install ## Print throughput, latency and memory
	$(BIN)/python -m benchmarks $(BENCH)

schemas: install ## Write docs/schemas from the models
	$(BIN)/python -c 'from pathlib import Path; from dispatcher.files.schemas import write_schemas; write_schemas(Path("docs/schemas"))'

lock: install ## Write constraints.txt anew from pyproject.toml's ranges
	$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean: ## Remove what was built
	rm -rf $(VENV) .dispatcher .pytest_cache .mypy_cache .ruff_cache .coverage*
