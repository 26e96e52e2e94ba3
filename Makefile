# Everything happens in .venv, made here with the python3 that is installed. A stamp says what is in it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
INPUTS := pyproject.toml constraints.txt
# What python compiled once is kept, whatever the shell says: tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo docs web web-react quick test test-newest test-oldest compat check bench peers picture chaos soak fuzz recipes record record-demo dist constraints clean

help: # the lines with two hashes, each under its group
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(INPUTS) | $(BIN)/python
	@echo "installing into $(VENV), which takes about a minute the first time ..."
	@$(INSTALL) --editable .
	@touch $@

$(DEV): $(INPUTS) | $(BIN)/python
	@echo "installing what the tests need into $(VENV), which takes about a minute the first time ..."
	@$(INSTALL) --editable '.[dev]'
	@touch $@ $(RUNTIME)

##@ To look at

demo: $(RUNTIME) ## Watch a recorded stream fill in, live
	@$(BIN)/python -m instructor_stream_ext.demo

web: $(DEV) ## Serve the example's web page, over a recorded stream or, with a key, over OpenAI
	@$(BIN)/python examples/web/app.py

web-react: $(DEV) ## Serve it with the page in React, too, built by Vite; needs npm
	@npm --prefix js ci --silent
	@npm --prefix js run --silent build-example
	@$(BIN)/python examples/web/app.py

picture: $(DEV) ## Draw the README's picture anew, from the demo
	$(BIN)/python tools/picture.py

.venv-docs/.dev: pyproject.toml constraints.txt
	@echo "installing mkdocs into .venv-docs ..."
	@$(PYTHON) -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt 'mkdocs-material<10' 'mkdocstrings[python]<2' ruff
	@touch $@

docs: .venv-docs/.dev ## Build the documentation's site into site/, with warnings as errors; it needs nothing from outside
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

QUICK_SESSION := $(addprefix tests/session/test_,attempts.py reading.py settling.py telling.py failures.py drive.py)
# These load every SDK, which takes longer than the rest.
EVERY_SDK := corpus.py genai.py parity.py raw.py

##@ To test

quick: $(DEV) ## Run the fast half of the tests: core, providers, session
	@CASES=20 $(BIN)/python -m pytest -q -n 2 tests/core tests/providers $(QUICK_SESSION) $(addprefix --ignore=tests/providers/test_,$(EVERY_SDK)) -k "not megabyte and not two_hundred and not litellms" $(PYTEST_ARGS)

test: $(DEV) ## Run the tests, several at a time (PYTEST_ARGS="tests/core -k scanner")
	@$(BIN)/python -m pytest $(or $(PYTEST_ARGS),-n $$($(BIN)/python -c 'import os; print(min(4, 1 + os.cpu_count()))') --dist worksteal)

# What an SDK can change: its chunks, its errors, its Router; not what is about our own text, however it came.
OF_US := $(patsubst %,tests/test_%.py,chaos drafts every exports hostile layering network_guard soak)
OF_THE_SDKS := tests/routing tests/providers $(filter-out $(OF_US),$(wildcard tests/test_*.py))
# litellm 1.83 is the oldest that `[litellm]` takes; the others have openai 3.
OLDEST := 'litellm==1.83.0' 'openai<3'

.venv-newest/.dev: pyproject.toml
	@echo "installing today's newest packages into .venv-newest ..."
	@$(PYTHON) -m venv --clear .venv-newest
	@.venv-newest/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv-oldest/.dev: pyproject.toml Makefile
	@echo "installing litellm 1.83 and openai 2 into .venv-oldest ..."
	@$(PYTHON) -m venv --clear .venv-oldest
	@.venv-oldest/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]' $(OLDEST)
	@touch $@

test-newest: .venv-newest/.dev ## Run the tests that SDKs can break, with the newest packages and without constraints
	@.venv-newest/bin/python -m pytest $(OF_THE_SDKS) $(PYTEST_ARGS)

test-oldest: .venv-oldest/.dev ## Run them with the oldest litellm and openai 2
	@.venv-oldest/bin/python -m pytest $(OF_THE_SDKS) $(PYTEST_ARGS)

compat: $(DEV) ## Run them in one environment per column of the table of versions (COMPAT="--only py3.13")
	@$(BIN)/python tools/compat.py $(COMPAT)

check: $(DEV) ## Run the linters and type checkers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --warnings

##@ To measure and to try hard

bench: $(DEV) ## Run the benchmarks, ours beside the peers that are installed (BENCH=--quick: under a minute; BENCH=--all)
	$(BIN)/python -m benchmarks $(BENCH)

# Mirascope and LlamaIndex hold openai below 3.
peers: .venv-peers/.dev .venv-peers-2/.dev ## Install the peers that are measured, into environments of their own, and those of Node
	npm --prefix js/bench ci --no-audit --no-fund

.venv-peers/.dev: pyproject.toml
	@echo "installing pydantic-ai, LangChain and BAML into .venv-peers ..."
	@$(PYTHON) -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable . 'pydantic-ai-slim[openai]' langchain-openai baml-py
	@touch $@

.venv-peers-2/.dev:
	@echo "installing Mirascope and LlamaIndex into .venv-peers-2 ..."
	@$(PYTHON) -m venv --clear .venv-peers-2
	@.venv-peers-2/bin/python -m pip install --quiet --quiet --disable-pip-version-check 'mirascope[openai]' llama-index-core llama-index-llms-openai
	@touch $@

chaos: $(DEV) ## Damage every recorded answer at every place (CHAOS="--every 60" for one in so many)
	$(BIN)/python -m tests.chaos $(CHAOS)

.venv-fuzz/.dev: pyproject.toml constraints.txt
	@$(PYTHON) -m venv --clear .venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable . atheris
	@touch $@

FUZZ_SECONDS ?= 600
soak: $(DEV) ## Read good and faulty streams for SOAK_SECONDS (600): nothing may grow, no result may be mixed up
	$(BIN)/python -m tests.soak --seconds $(or $(SOAK_SECONDS),600)

fuzz: $(DEV) .venv-fuzz/.dev ## Look for faults with a coverage-guided fuzzer and with 100,000 made cases (FUZZ_SECONDS=600 each)
	@mkdir -p .fuzz
	cd .fuzz && for target in scanner readers seam; do ../.venv-fuzz/bin/python ../tools/fuzz.py $$target -max_total_time=$(FUZZ_SECONDS) -max_len=600 -verbosity=0 || exit 1; done
	CASES=4000 $(BIN)/python -m pytest -m hypothesis tests $(PYTEST_ARGS)

.venv-recipes/.dev: pyproject.toml constraints.txt
	@echo "installing marimo, Streamlit and Gradio into .venv-recipes, which takes a while ..."
	@$(PYTHON) -m venv --clear .venv-recipes
	@.venv-recipes/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable . marimo streamlit gradio pytest
	@touch $@

recipes: .venv-recipes/.dev ## Run the recipes of docs/terminal.md against the real marimo, Streamlit and Gradio
	@.venv-recipes/bin/python -m pytest -c /dev/null --rootdir . -p no:cacheprovider tools/recipes $(PYTEST_ARGS)

##@ To record anew, from real servers on this machine

record-demo: ## Record the demo's cassette anew, from llama.cpp with a model made on the spot
	$(PYTHON) -m venv .venv-record
	.venv-record/bin/python -m pip install --quiet --constraint constraints.txt --editable . xllamacpp gguf numpy
	.venv-record/bin/python tools/record_demo.py

record: ## Record the cassettes of the tests anew, from llama.cpp and from litellm's proxy in front of it
	$(PYTHON) -m venv .venv-record
	.venv-record/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[testing]' xllamacpp gguf numpy
	$(PYTHON) -m venv .venv-proxy
	.venv-proxy/bin/python -m pip install --quiet 'litellm[proxy]==1.83.0'
	.venv-record/bin/python tools/record_cassettes.py --proxy .venv-proxy/bin/litellm

##@ To release and to tidy up

dist: ## Build wheel and sdist into dist/, check them, and try the wheel in empty environments
	@rm -rf dist .venv-dist
	@$(PYTHON) -m venv .venv-dist
	@.venv-dist/bin/python -m pip install --quiet --quiet --disable-pip-version-check build twine
	@.venv-dist/bin/python -m build --outdir dist . > /dev/null
	@.venv-dist/bin/python -m twine check --strict dist/*
	@PYTHON=$(PYTHON) bash tools/try_wheel.sh dist/*.whl

constraints: ## Pin what a fresh install resolves to
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	.venv-constraints/bin/python -m pip freeze --exclude-editable > constraints.txt
	rm -rf .venv-constraints

clean: ## Remove what the other targets made
	rm -rf .venv .venv-newest .venv-oldest .venv-compat .venv-docs .venv-fuzz .venv-peers .venv-peers-2 .venv-recipes .venv-dist .venv-wheel .venv-record .venv-proxy .venv-constraints .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .fuzz build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
