# Thin: every target prints the command it runs, and the commands can be typed as they stand.
#   make figures [SCALE=smoke|cpu|paper] [JOBS=2] [TARGETS=all]    make test    make lint    make bench    make docs
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := figures
.PHONY: figures test lint bench docs lock clean

PYTHON ?= python3.11
VENV ?= .venv
SCALE ?= smoke
JOBS ?= $(shell nproc)
TARGETS ?= all
PYTEST_ARGS ?= -n $(JOBS)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# wiregrad, wiregrad.comm.channel, …: pdoc goes no further than __all__ by itself.
MODULES = $(shell find src/wiregrad -name '*.py' ! -name __main__.py | sort | \
  sed -e 's,^src/,,' -e 's,/__init__.py$$,,' -e 's,\.py$$,,' -e 's,/,.,g')
# One thread a process: JOBS processes run side by side, and sums keep their order.
export OMP_NUM_THREADS ?= 1

figures: $(STAMP)
	$(BIN)/python workflow/scripts/make_figures.py --scale $(SCALE) --jobs $(JOBS) $(TARGETS)

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint --quiet

bench: $(STAMP)
	$(BIN)/python -m pytest benchmarks --quiet --benchmark-quiet --report benchmarks/results

docs: $(STAMP)
	$(BIN)/pdoc --docformat google --math --output-directory docs/_build $(MODULES)

# What is pinned stays pinned where pyproject.toml allows it; to take newer versions, remove lines.
lock: $(STAMP)
	$(BIN)/uv pip compile --universal --extra dev --no-header --annotation-style line \
	  --output-file requirements.lock pyproject.toml

clean:
	rm -rf build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find src tests workflow benchmarks -name __pycache__ -prune -exec rm -rf {} +

# A stamp is written last: an interrupted install has none and is begun anew, a change of the lock or
# of pyproject.toml updates the environment in place, a change of the kernels compiles them again.
# Bytecode is compiled here, once, since PYTHONDONTWRITEBYTECODE in the environment would make every
# start of torch compile it again; files named py312_... are for newer Pythons only.
$(STAMP): $(VENV)/.packages setup.py $(wildcard src/wiregrad/kernels/csrc/*)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 src
	touch $@

$(VENV)/.packages: requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "error: $(PYTHON) not found: give one with PYTHON=" >&2; exit 1; }
	@echo "Installing into $(VENV), once: some minutes, about 6 GB"
	test -f $@ || $(PYTHON) -m venv --clear $(VENV)
	rm -f $@
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m compileall -q -j 0 -x '/py3[0-9]+_' $(VENV)/lib
	touch $@
