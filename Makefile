# Everything sets itself up: `make demo` and `make test` need Python 3.11 to 3.13, a C++ compiler
# and make. The first use creates .venv from the hash-checked lock (about 5 GB, most of it torch).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
DEMO := runs/demo
TEST_JOBS ?= 2
DATA := $(DEMO)/data
STAMP := $(VENV)/.installed

.PHONY: help install demo test test-fast lint format docs lock clean

help:
	@echo "make demo       train a small CLIP on emoji and evaluate it; prints the report's path"
	@echo "make test       all tests (about 15 minutes on 2 cores)"
	@echo "make test-fast  unit, property and parity tests"
	@echo "make docs       the READMEs, tutorials and docstrings as a site: build/docs/docs/index.html"
	@echo "make lint       ruff, pyright, import-linter, spelling"
	@echo "make lock       compile requirements.lock anew from pyproject.toml"
	@echo "make clean      remove .venv and runs/demo"

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) \
	  else "error: Python %d.%d is not supported; use 3.11 to 3.13: make PYTHON=python3.12" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: cannot create $(VENV); on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	@test -f $(DATA)/manifest.json || $(BIN)/vlsuite data build emoji --out $(DATA) --overwrite
	@test -f $(DEMO)/tokenizer/tokenizer.json || \
	  $(BIN)/vlsuite data tokenizer $(DATA)/train --vocab-size 2048 --out $(DEMO)/tokenizer
	@if test -f $(DEMO)/run/config.json; then resume=--resume; fi; \
	  $(BIN)/vlsuite train emoji --out $(DEMO)/run $$resume --set checkpoint.every_minutes=1 \
	    --set data.train=$(DATA)/train --set model.tokenizer=$(DEMO)/tokenizer \
	    --set validation.data=$(DATA)/unseen_compositions,$(DATA)/unseen_emoji,$(DATA)/line_art
	$(BIN)/vlsuite eval $(DEMO)/run --data $(DATA) --task zero_shot --task retrieval
	$(BIN)/vlsuite report $(DEMO)/run

test: install
	$(BIN)/pytest tests -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

test-fast: install
	$(BIN)/pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -j 2 -c docs . build/docs
	@echo "build/docs/docs/index.html"

lock: install
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --extra demo --extra huggingface --extra adversarial --extra xmai --extra heic --extra dev \
	  pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) $(DEMO)
