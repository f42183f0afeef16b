# make demo   a network trained on bundled data, from nothing but Python 3.11 or newer
# make test   ruff, mypy, import-linter and pytest
# make bench  a small comparison of solvers: digits and a table, one seed
# make paper  the paper's evaluation: hours; with QUICK=1 less than 20 minutes
# make docs   the site, in docs/_build, offline; warnings are errors
# make package  wheel and sdist, in dist, installed and tried in a clean environment
# They set up .venv at first and reuse it afterwards.

PYTHON ?= python3
VENV := .venv
DOCS := .venv-docs
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test bench paper docs package clean

demo: $(VENV)/.demo
	$(BIN)/nmfnet train digits --hidden 200-100 --epochs 30 --seed 0 --threads 1 --out demo-output --force

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.bench run --datasets small --epochs 15

paper: $(VENV)/.test
	$(BIN)/python -m benchmarks.paper run $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.paper report

docs: $(DOCS)/.docs
	$(DOCS)/bin/python -m sphinx -W --keep-going -q docs docs/_build
	@echo "docs/_build/index.html"

package: $(VENV)/bin/python
	$(PIP) 'build>=1.2' 'hatchling>=1.26'
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python .ci/try_package.py dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nmfnet needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Setting up $(VENV); this takes a few minutes the first time."
	$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Setting up $(VENV) for the tests; this takes a few minutes the first time."
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.demo

$(DOCS)/.docs: pyproject.toml constraints.txt
	@echo "Setting up $(DOCS) for the documentation; this takes a few minutes the first time."
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) $(DOCS) demo-output dist docs/_build docs/gallery docs/api/generated
