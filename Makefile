# peerup: `make` alone lists what can be made.
#
# Needed: git, make and Python 3.11 or newer. Everything else goes into .venv, once.
# Another Python than `python3`:   make PYTHON=python3.12 demo

PYTHON ?= python3
PYTEST_ARGS ?=
TRANSPORT ?=

BIN := .venv/bin
CODE := peerup tests scripts bench $(wildcard interop)

# Empty files whose age says when .venv was last brought in line with pyproject.toml.
RUN := .venv/.ready-run
DEV := .venv/.ready-dev

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup test check demo interop bench bench-quick format man dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) ## install peerup and the tools of its developers into .venv

demo: $(RUN) ## reach a web server and sshd through a relay, with real processes on this machine
	@TRANSPORT="$(TRANSPORT)" $(BIN)/python scripts/demo.py

test: $(DEV) ## run the tests (more options: make test PYTEST_ARGS="-x -k yamux")
	@$(BIN)/pytest $(PYTEST_ARGS)

check: $(DEV) ## all that must hold before a commit: format, lint, types, import rules, tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/pytest $(PYTEST_ARGS)

interop: $(DEV) ## talk to other implementations of libp2p, as far as they can be built here
	@command -v go >/dev/null || echo "interop: Go is not installed, its peer is SKIPPED"
	@command -v npm >/dev/null || echo "interop: Node and npm are not installed, their peer is SKIPPED"
	@$(BIN)/pytest interop -rs $(PYTEST_ARGS)

bench: $(DEV) ## measure against raw TCP, openssl, ssh and go-libp2p: 10 minutes, on a quiet machine
	@$(BIN)/python bench/run.py

bench-quick: $(DEV) ## the throughput of streams and proxies, in under two minutes
	@$(BIN)/python bench/run.py --quick --only stream --only proxy

format: $(DEV) ## rewrite the source the way `make check` wants it
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

man: $(DEV) ## write docs/man and docs/completion anew, after a change of a command
	@$(BIN)/python scripts/generate.py

dist: $(DEV) man ## build the wheel and the sdist in dist/
	@rm -rf dist
	@$(BIN)/hatchling build

clean: ## remove .venv and everything else that was made here
	rm -rf .venv .build dist interop/go/bin .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml | $(BIN)/python
	@echo "setup: installing peerup into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "setup: installing peerup and its developers' tools into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(RUN) $@

# Says what is missing in words of its own, as the errors of Python would not name the remedy.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "peerup needs Python 3.11 or newer, and there is no $(PYTHON) here."; \
	  echo "Install one, or name one that you have:  make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; \
	  exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "peerup needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one:  make PYTHON=python3.12 $(MAKECMDGOALS)"; \
	  exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: its venv module is missing."; \
	  echo "On Debian and Ubuntu:  apt-get install python3-venv"; \
	  exit 1; } >&2
	@echo "setup: making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
