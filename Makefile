# Two commands do everything from a fresh clone; each makes its own virtual environment first.
#   make alanine    train the alanine dipeptide generator, 300 K to 600 K, and report
#   make test       run the test suite
# Options:  make alanine ARGS="--preset smoke --out runs/try"     make test ARGS="-k splines"
#           make test PYTHON=/usr/bin/python3.12                  make test VENV=/tmp/venv

is_new_enough = -c 'import sys; sys.exit(sys.version_info < (3, 11))'

# The first interpreter that is Python 3.11 or newer; PYTHON=... overrides the search.
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    $$p $(is_new_enough) 2>/dev/null && echo $$p && break; done)
endif
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help alanine test test-slow lint smoke clean

help:
	@sed -n 's/^# \{0,1\}//; 1,5p' Makefile

alanine: $(INSTALLED)
	$(BIN)/python scripts/train_alanine.py --T 300:600 $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 $(ARGS)

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

smoke: $(INSTALLED)
	$(BIN)/python scripts/train_alanine.py --T 300:600 --preset smoke $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment is made again, from nothing, when what it holds has changed.
$(INSTALLED): setup.cfg constraints.txt pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" $(is_new_enough) || { \
	    python="$(or $(PYTHON),python3)"; \
	    echo "boltzgen needs Python 3.11 or newer; $$python is: $$($$python --version 2>&1)" >&2; \
	    echo "Name one with PYTHON, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	    exit 1; }
	"$(PYTHON)" -m venv --clear "$(VENV)"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@
