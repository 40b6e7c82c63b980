# Nothing but Python, git and make is needed: each target sets up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= $(shell $(PYTHON) -c "import os; print(min(4, os.cpu_count() or 1))")

.PHONY: help demo test deep lint scenarios adapters clean

help:
	@echo "make demo       find the fan-out race in a 20-line scenario, then prove the fix"
	@echo "make test       every test, in the CI profile (under ten minutes on two cores)"
	@echo "make deep       the slow, deep runs of the same suites"
	@echo "make lint       ruff, mypy --strict, pyright"
	@echo "make adapters   check published budget libraries, each in an environment of its own (needs a network)"
	@echo "make scenarios  solve every shipped scenario and compare with what it expects"

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.installed-dev: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@echo '$$ capsound solve scenarios/race-a-racy-counter.toml'
	@$(BIN)/capsound solve scenarios/race-a-racy-counter.toml; test $$? -eq 1
	@echo
	@echo '$$ capsound solve scenarios/race-b-reserve-settle.toml'
	@$(BIN)/capsound solve scenarios/race-b-reserve-settle.toml

test: $(STAMP)
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

$(VENV)/.installed-deep: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,tokenizers]'
	@touch $@

deep: $(VENV)/.installed-deep
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --deep --timeout 3600

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

scenarios: $(STAMP)
	$(BIN)/capsound solve scenarios/ --expect

adapters: $(STAMP)
	$(BIN)/python examples/adapters/check_all.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
