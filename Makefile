# Every target makes what it needs: a virtual environment in .venv, by uv where it is installed, else by venv and pip.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# What only `make check` needs: the clients of secret managers and servers, and peers for them to talk to.
STAMP_CHECK := $(VENV)/.installed-for-check
CHECK  := '.[aws,azure,gcp,presidio,ray,redis,vault]' --group check

.PHONY: demo test check lowest parity chaos fuzz lint format bench compare docs constraints clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python")'
	@echo 'Making $(VENV), once: about a minute' >&2
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python "$(PYTHON)" $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python --constraints constraints.txt -e '.[langchain,agents,llama-index,cli,audit,scan,dotenv,testing]' --group dev; \
	else \
	  $(PYTHON) -m venv --clear $(VENV) && \
	  $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install --quiet --constraint constraints.txt -e '.[langchain,agents,llama-index,cli,audit,scan,dotenv,testing]' --group dev; \
	fi
	@touch $@

$(STAMP_CHECK): $(STAMP)
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python --constraints constraints.txt -e $(CHECK); \
	else \
	  $(BIN)/python -m pip install --quiet --constraint constraints.txt -e $(CHECK); \
	fi
	@touch $@

demo: $(STAMP)  ## real text through the whole system, offline
	@$(BIN)/guard-integrations demo

test: $(STAMP)  ## the tests, under five minutes; no root, no server
	@$(BIN)/python -m pytest

check: $(STAMP_CHECK) lowest  ## everything slow
	@$(BIN)/python -m pytest -m slow

LOWEST       := .venv-lowest
LOWEST_TESTS := tests/langchain tests/llama_index
# LlamaIndex of that age makes the pydantic of today warn.
LOWEST_QUIET := -W ignore::pydantic.warnings.UnsupportedFieldAttributeWarning
$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt Makefile
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python "$(PYTHON)" $(LOWEST) && \
	  uv pip install --quiet --python $(LOWEST)/bin/python --constraints constraints-lowest.txt -e '.[langchain,agents,llama-index,cli,audit,scan,dotenv,testing]' --group dev; \
	else \
	  $(PYTHON) -m venv --clear $(LOWEST) && \
	  $(LOWEST)/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(LOWEST)/bin/python -m pip install --quiet --constraint constraints-lowest.txt -e '.[langchain,agents,llama-index,cli,audit,scan,dotenv,testing]' --group dev; \
	fi
	@touch $@

lowest: $(LOWEST)/.installed  ## the frameworks' tests on the oldest versions that are supported
	@$(LOWEST)/bin/python -m pytest -q $(LOWEST_QUIET) $(LOWEST_TESTS)

parity: $(STAMP)  ## all texts through all entry points of LangChain in all sizes of chunks, which `make check` does in turns
	@PARITY=full $(BIN)/python -m pytest -q -m slow tests/langchain/test_lc_parity.py

chaos: $(STAMP)  ## 10,000 requests over keys that fail: what do callers see?
	@$(BIN)/python tests/rotation/chaos.py

SEED  ?= 1
CASES ?= 100000
fuzz: $(STAMP)  ## the stream against the batch, for long: make fuzz SEED=7 CASES=1000000
	@$(BIN)/python tests/fuzz/fuzz_stream.py $(SEED) $(CASES)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy

format: $(STAMP)
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(STAMP)
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script; done

docs: $(STAMP)  ## the catalogue of rules, from the rules
	@$(BIN)/python docs/make_rules.py

PEERS := datafog presidio-analyzer euredact argus-redact scrubadub 'stackone-defender[onnx]' forcefield zn-gate detect-secrets \
  nemoguardrails yara-python
JUDGES := comrak html5lib cmarkgfm mistune pyromark 'markdown-it-py[linkify]' matplotlib
compare:  ## ours beside every peer that can be installed, in a throwaway environment; writes docs/comparison.md; needs uv
	@uv run --quiet --no-project --python "$(PYTHON)" --with-editable '.[agents]' $(foreach one,$(PEERS) $(JUDGES),--with $(one)) \
	  env PYTHONPATH=tests python -m benchmarks.compare --write

OLDEST := langchain-core==1.4.7 langchain-mistralai==1.1.5 langchain==1.3.0 llama-index-core==0.14.5 llama-index-llms-mistralai==0.11.0 mistralai==3.0.0
constraints:  ## pins anew, the newest and the oldest; needs uv
	printf '%s\n' $(OLDEST) | uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --extra langchain --extra agents --extra llama-index --extra cli --extra audit --extra scan --extra dotenv --extra testing --group dev \
	  --constraints - pyproject.toml --output-file constraints-lowest.txt
	uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --all-extras --group dev --group check pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) $(LOWEST) .mypy_cache .ruff_cache .pytest_cache .hypothesis
