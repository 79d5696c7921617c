# make demo: see it work.   make test: hold it to its promises.   make bench: measure it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.bench-installed
MAIL := tests/mail
MAIL_STAMP := $(MAIL)/node_modules/.installed
DEBIAN := chromium fonts-noto-core fonts-noto-cjk w3m spamassassin rspamd

.DEFAULT_GOAL := help
.PHONY: help install demo test test-mail checkers mail-figures chaos lint types bench lock schemas locales screenshots clean

help: ## Say what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; this is $$($(PYTHON) --version). Set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP) ## Build .venv

demo: install ## Two stories and one event of every type through real parts into a mailbox
	$(BIN)/dispatcher demo

test: install lint types checkers ## Lint, types and every test that needs nothing but pip and npm
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m 'not debian' --cov --cov-report=term-missing:skip-covered $(PYTEST)

$(MAIL_STAMP): $(MAIL)/package.json $(MAIL)/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20.19 or later with npm is needed for the checkers of mail: https://nodejs.org, or your system's packages nodejs and npm."; exit 1; }
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' || { echo "Node.js 20.19 or later is needed; this is $$(node --version)."; exit 1; }
	cd $(MAIL) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

checkers: $(MAIL_STAMP) ## Install the checkers of mail that npm has

test-mail: install checkers ## Every checker over every mail; installs Debian packages where it may
	@tools="chromium w3m spamassassin rspamd"; missing=""; \
	for tool in $$tools; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN) >/dev/null; \
	elif [ -n "$$missing" ]; then echo "Not installed:$$missing. As root: apt-get install $(DEBIAN)"; fi
	MAIL_CHECKERS=all $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(MAIL) $(PYTEST)

mail-figures: install checkers ## Print our figures, or those of the HTML files in the folder MAILS
	PYTHONPATH=tests $(BIN)/python -m mail.measure $(MAILS)

chaos: install ## A seeded storm of all faults; CHAOS_SECONDS, CHAOS_SEED, CHAOS_DELIVERIES, CHAOS_DATABASE
	PYTHONPATH=tests $(BIN)/python -m chaos

lint: install ## ruff and the rooms' contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install ## mypy, strict
	$(BIN)/mypy

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

bench: $(BENCH_STAMP) ## Measure it against others; BENCH="--only idle --recipients 20000", BENCH=--help
	@there() { command -v smtp-sink || test -x /usr/sbin/smtp-sink; } >/dev/null; \
	if ! there && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postfix >/dev/null; \
	fi; \
	there || echo "smtp-sink and smtp-source are not there (Debian package postfix): a sink in Python takes their place."
	$(BIN)/python -m benchmarks $(BENCH)

locales: install ## Bring locales/ up to date with templates, catalogue and pages
	$(BIN)/dispatcher locales

schemas: install ## Write docs/schemas from the models
	$(BIN)/python -c 'from pathlib import Path; from dispatcher.files.schemas import write_schemas; write_schemas(Path("docs/schemas"))'

lock: install ## Write constraints.txt anew from pyproject.toml's ranges
	$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev,bench]'
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

screenshots: install ## Write docs/images anew with headless Chromium
	PYTHONPATH=tests $(BIN)/python -m pictures

clean: ## Remove what was built
	rm -rf $(VENV) .dispatcher .pytest_cache .mypy_cache .ruff_cache .coverage*
