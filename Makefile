# make demo: a first run, from installation to a verified report.
# make test: the tests; make test-slow: those that take long; make test-engines: real engines.
# make lint: style, types, arrows, spelling.
# make engines: first-principles engines, without which their tests are skipped.
# make engines-qmc: the same for quantum Monte Carlo.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo-run

DEBIAN_ENGINES := quantum-espresso quantum-espresso-data abinit abinit-data
GPAW_CONFIG := $(CURDIR)/src/hyperatom/references/engines/gpaw_siteconfig.cfg

.PHONY: demo test test-engines test-slow lint install engines engines-qmc

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m compileall -q src
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	$(BIN)/python -m compileall -q src
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
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-engines: .venv/installed-test
	$(BIN)/python -m pytest -n 2 tests/test_engines.py tests/test_engine_campaigns.py \
		tests/test_other_atoms.py

test-slow: .venv/installed-test
	$(BIN)/python -m pytest -n 2 -m slow

# Whatever cannot be installed here (no root, no network, no compiler) is said and left out.
engines: .venv/installed-test
	@$(BIN)/python -c 'import gpaw' 2>/dev/null \
		|| GPAW_CONFIG=$(GPAW_CONFIG) timeout 240 $(BIN)/python -m pip install --quiet gpaw gpaw-data \
		|| echo "GPAW could not be installed: its tests will be skipped."
	@if command -v pw.x >/dev/null && command -v abinit >/dev/null; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Not root on a Debian: tests of Quantum ESPRESSO and ABINIT will be skipped."; \
	else \
		{ timeout 60 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 180 \
			apt-get install -y -qq --no-install-recommends $(DEBIAN_ENGINES) >/dev/null; } \
		|| echo "Quantum ESPRESSO and ABINIT could not be installed: their tests will be skipped."; \
	fi
	@$(BIN)/hyperatom engines

# Quantum Monte Carlo in an environment of its own: jqmc wants an older JAX. About 1 GB.
engines-qmc:
	$(PYTHON) -m venv .venv-qmc
	.venv-qmc/bin/python -m pip install --quiet ase jqmc pyqmc pyscf

lint: .venv/installed-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
