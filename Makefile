# make demo: a first run, from installation to a verified report.
# make test: every test.   make lint: style, types, arrows, spelling.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo-run

.PHONY: demo test lint install

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/installed-lint: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[lint]'
	touch $@

demo: .venv/installed
	@if [ -f $(DEMO)/header.json ]; then \
		$(BIN)/hyperatom resume $(DEMO); \
	else \
		$(BIN)/hyperatom run examples/quartz_demo.yaml --directory $(DEMO); \
	fi
	$(BIN)/hyperatom verify $(DEMO)
	$(BIN)/hyperatom report $(DEMO)

test: .venv/installed-test
	$(BIN)/python -m pytest -n 2

lint: .venv/installed-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
