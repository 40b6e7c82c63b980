# Nothing but Python, git and make is needed: each target sets up what it needs in .venv, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= $(shell $(PYTHON) -c "import os; print(min(4, os.cpu_count() or 1))")

# Bytecode is kept, whatever the shell says: nothing is compiled at installation, and hundreds of short processes would
# compile z3 and Hypothesis, each for itself.
export PYTHONDONTWRITEBYTECODE :=

# pip shows its progress on a terminal, and is silent in a log. What is never imported is not compiled.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-compile $$(test -t 1 || echo --quiet)

.PHONY: help demo test quick bench deep matrix lint scenarios cases adapters league wild clients clean

help:
	@echo "make demo       find the fan-out race in a 20-line scenario, then prove the fix"
	@echo "make test       every test, in the CI profile (20 minutes on two idle cores)"
	@echo "make quick      what notices a mistake in the model or the reference within half a minute"
	@echo "make bench      the working tree against a revision, as ratios of processor time (REV=HEAD, ONLY=word)"
	@echo "make deep       the slow, deep runs of the same suites"
	@echo "make matrix     every test with each CPython from 3.11 to 3.14 that is here (VERSIONS='3.12 3.13', ONLY=tests/unit)"
	@echo "make lint       ruff, mypy --strict, pyright"
	@echo "make adapters   check published budget libraries, each in an environment of its own (needs a network)"
	@echo "make league     judge published budgets, and write docs/league.md (needs a network, and node)"
	@echo "make wild       run eleven real applications against a provider that capsound plays (needs a network, and node)"
	@echo "make clients    measure anew how many requests clients send for one call (needs a network, and node)"
	@echo "make scenarios  solve every shipped scenario and compare with what it expects"
	@echo "make cases      inputs that capsound once got wrong, each with the right answer"

# One stamp for each set of packages: the demo needs no test library, and the tests need no linter.
$(BIN)/python:
	@echo "setting up: a virtual environment in $(VENV) (a few seconds)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml | $(BIN)/python
	@echo "setting up: capsound with its two solvers (about 60 MB to download, once)"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "setting up: capsound and the libraries of its tests (twice as much, once)"
	@$(INSTALL) -e '.[test]'
	@touch $(VENV)/.installed-demo $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "setting up: capsound, the libraries of its tests, and the linters (once)"
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed-demo $(VENV)/.installed $@

$(VENV)/.installed-deep: pyproject.toml | $(BIN)/python
	@echo "setting up: capsound, the libraries of its tests, and tokenizers (once)"
	@$(INSTALL) -e '.[test,tokenizers]'
	@touch $(VENV)/.installed-demo $(VENV)/.installed $@

demo: $(VENV)/.installed-demo
	@echo '$$ capsound solve scenarios/race-a-racy-counter.toml'
	@$(BIN)/capsound solve scenarios/race-a-racy-counter.toml; test $$? -eq 1
	@echo
	@echo '$$ capsound solve scenarios/race-b-reserve-settle.toml'
	@$(BIN)/capsound solve scenarios/race-b-reserve-settle.toml

# A file stays in one process: what its tests share is worked out once. The longest are begun first (tests/conftest.py).
test: $(VENV)/.installed
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ONLY)

QUICK = test_adapter test_budget test_budget_more test_discipline_tables test_folding test_grants test_ledger_fast \
  test_loading test_lockstep test_model test_monitor_fast test_monitor_fork test_monitor_lane test_published test_scenarios test_tiers \
  test_time_windows test_timing test_windowed
quick: $(VENV)/.installed
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q \
	  $(QUICK:%=tests/unit/%.py) tests/stateful/test_reference.py tests/quality/test_agreement.py

bench: $(VENV)/.installed-demo
	$(BIN)/python benchmarks/compare.py --against $(or $(REV),HEAD) $(ONLY:%=--only %)

deep: $(VENV)/.installed-deep
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --deep --timeout 3600

matrix:
	$(PYTHON) tests/support/matrix.py $(VERSIONS:%=--only %) -- $(ONLY)

# The cheapest first: most slips are found in the first second. pyright finds .venv by pyproject.toml.
lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

scenarios: $(VENV)/.installed-demo
	$(BIN)/capsound solve scenarios/ --expect

cases: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(JOBS) --deep tests/quality/test_cases.py

adapters: $(VENV)/.installed-demo
	$(BIN)/python examples/adapters/check_all.py

# With the libraries of the tests, for the plot. What is known is not judged again: a campaign may be stopped at any time.
league: $(VENV)/.installed
	$(BIN)/capsound league league/league.toml --workers $(JOBS) --price --save league/results.json \
	  --markdown docs/league.md --html docs/league.html --badges docs/images/league --plot docs/images/league.svg

wild: $(VENV)/.installed-demo
	$(BIN)/python examples/wild/check_all.py

clients: $(VENV)/.installed-demo
	$(BIN)/python examples/clients/measure_all.py

clean:
	rm -rf $(VENV) .venv-matrix .pytest_cache .mypy_cache .ruff_cache .hypothesis
