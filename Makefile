# The daily loop of Dray: everything here works on a machine with Python >= 3.10, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-examples test-frameworks test-managers test-docker lint format bench chaos mutants reference up down clean

help:            ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: $(STAMP)  ## Create .venv with Dray and everything needed to work on it

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[cluster]' --group dev
	@touch $@

demo: install    ## Run the main job end to end on this machine
	@$(BIN)/dray demo

EXAMPLES := tests/integration/test_examples_*.py

test: install    ## Run all tests but those of test-examples and test-frameworks  [ARGS="tests/unit -k cli"]
	@$(BIN)/pytest -n 2 --dist loadgroup --ignore-glob='*/$(notdir $(EXAMPLES))' $(ARGS)

test-examples: install  ## Run every example by hand and through a queue, and read back what it recorded
	@$(BIN)/pytest $(ARGS) $(wildcard $(EXAMPLES))

FRAMEWORKS := .venv-frameworks

$(FRAMEWORKS)/.installed: pyproject.toml $(STAMP)
	@test -x $(FRAMEWORKS)/bin/python || $(BIN)/python -m venv $(FRAMEWORKS)
	@$(FRAMEWORKS)/bin/python -m pip install --quiet "pip>=25.1"
	@# A wheel on this machine (PIP_FIND_LINKS) before an index: that one brings gigabytes of CUDA.
	@$(FRAMEWORKS)/bin/python -m pip install --quiet --no-index --no-deps "torch>=2.13" 2>/dev/null || true
	@$(FRAMEWORKS)/bin/python -m pip install --quiet -e . --group frameworks
	@touch $@

test-frameworks: $(FRAMEWORKS)/.installed  ## Try the hooks against real frameworks (large: .venv-frameworks)
	@DRAY_TEST_FRAMEWORKS=1 $(FRAMEWORKS)/bin/python -m pytest -n 2 \
	  -c tests/frameworks/pytest.ini tests/frameworks $(ARGS)

MANAGERS := .venv-managers

$(MANAGERS)/.installed: $(STAMP)
	@UV_TOOL_DIR=$(MANAGERS)/tools UV_TOOL_BIN_DIR=$(MANAGERS)/bin \
	  $(BIN)/uv tool install --quiet --no-progress "poetry>=2.1,<3"
	@touch $@

test-managers: $(MANAGERS)/.installed  ## Build environments with every package manager that can be had here (minutes)
	@PATH="$(CURDIR)/$(MANAGERS)/bin:$$PATH" DRAY_TEST_MANAGERS=1 \
	  $(BIN)/pytest --timeout 300 tests/contract/test_builders.py $(ARGS)

test-docker: install  ## Run tasks in containers of a real Docker and Podman (root; installs them, minutes)
	@DRAY_TEST_DOCKER=1 $(BIN)/pytest tests/docker --durations=5 $(ARGS)

lint: install    ## Check formatting, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

format: install  ## Format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: install   ## Measure the budgets of docs/performance.md  [ONLY="name ..."]
	@$(BIN)/python -m benchmarks $(ONLY)

FOR ?= 5m
chaos: install   ## Break a private cluster and judge the promises  [FOR=5m] [SEED=n]
	@$(BIN)/dray selftest --chaos $(FOR) $(if $(SEED),--seed $(SEED))

mutants: install  ## Take protections away one at a time: some test must fail  [ONLY="name ..."]
	@$(BIN)/python -m tests.mutants $(ONLY)

reference: install  ## Make docs/reference/ and docs/cli.md from the docstrings and commands
	@$(BIN)/python docs/make_reference.py
	@$(BIN)/python -m dray.sdk.cli.reference > docs/cli.md

up: install      ## Start the local cluster
	@$(BIN)/dray up

down: install    ## Stop the local cluster; state is kept
	@$(BIN)/dray down

clean:           ## Remove what was installed and built
	rm -rf $(VENV) $(FRAMEWORKS) $(MANAGERS) build dist .pytest_cache .ruff_cache .hypothesis
