# The lab's commands. Each sets up what it needs and is missing; a second call sets up nothing.
# The container engine and the images are brought by the lab itself, see `lab run --help`.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SLOW := grid or busy or soak
# A file of tests stays together, so that what its tests share is made once; those with containers are begun first.
# Three workers a processor, since most of what they do is wait.
WORKERS := --numprocesses $(shell echo $$((3 * $$(nproc)))) --maxprocesses 12 --dist loadfile --no-loadscope-reorder

# What the slow tests draw at random is new each time. `make test-all DRAWS=` has the same draws each time, as CI does:
# what fails there is the change's doing.
DRAWS := --seed fresh

# Compiled once, and not by every process that a test starts.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(READY) ## run every scenario behind every proxy
	$(BIN)/lab run

test: $(READY) ## run the tests, those with containers and in a browser too
	$(BIN)/python tests/set_up.py
	$(BIN)/pytest -m alone
	$(BIN)/pytest -m "not (alone or $(SLOW))" $(WORKERS)

test-all: test ## and after them the slow ones: whole grids, busy machines, fresh draws
	$(BIN)/pytest -m "(grid or soak or hypothesis) and not busy" $(DRAWS) $(WORKERS)
	$(BIN)/pytest -m busy $(DRAWS)

lint: $(READY) ## check style, types, and that imports run downward
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(READY) ## measure how late the model server's tokens leave, and ten thousand streams at once
	$(BIN)/python bench/lateness.py
	$(BIN)/python bench/lateness.py --streams 10000 --rate 1 --seconds 40 --arrivals 500

clean: ## remove containers, caches and the virtual environment
	-test ! -x $(BIN)/lab || $(BIN)/lab clean
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The file says when the environment was last brought in line with pyproject.toml.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.PHONY: help lab test test-all lint bench clean
