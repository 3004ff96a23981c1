# Set-up, the demo, the checks and the tests. `make demo` and `make test` need only Python 3.11 or newer, git and make.

PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
UV := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
# One more than the cores of a small machine: the worker with the tests of the cluster waits for pods most of the time.
WORKERS ?= 3

# More words for the test runner: the checks of a change repeat a few tests that fail (docs/decisions/0036).
TEST_OPTIONS ?=

NODES ?= 1

.PHONY: demo test test-quick test-cluster cluster cluster-up cluster-down lint types contracts check chart screenshots lock lock-peers bench faults sbom clean setup torch

.venv/made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install python3.11"; exit 1; }
	@echo "setting up .venv, which is done once"
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) lacks venv or pip: install python3-venv"; rm -rf .venv; exit 1; }
	@touch $@

# pip brings uv, and uv the rest, several times as fast.
.venv/demo-ready: .venv/made requirements/uv.txt requirements/demo.txt pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/demo.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev-ready: .venv/demo-ready requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# PyTorch takes gigabytes on Linux: its tests run where it was asked for, and in the checks of every change.
.venv/torch-ready: .venv/dev-ready requirements/torch.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/torch.txt
	@touch $@

setup: .venv/dev-ready

torch: .venv/torch-ready

demo: .venv/demo-ready
	bash examples/demo.sh $(abspath $(BIN))/fairway

test: setup cluster
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TEST_OPTIONS)

# What needs neither a cluster, a browser nor the whole command line: for the time between two edits.
test-quick: setup
	$(BIN)/python -m pytest tests/unit tests/contract tests/model tests/house -n 2 --dist loadfile $(TEST_OPTIONS)

# A real Kubernetes on this machine, for root on Debian or Ubuntu with Go. Where it cannot be built, one line says why.
cluster: .venv/made
	@$(BIN)/python -m tests.lab build --if-possible

cluster-up: .venv/made
	@$(BIN)/python -m tests.lab up --nodes $(NODES)

cluster-down: .venv/made
	@$(BIN)/python -m tests.lab down

# On the cluster that KUBECONFIG names, or on the lab; also the tests that `make test` leaves out because they take long.
test-cluster: setup cluster
	$(BIN)/python -m pytest tests/cluster --full

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

contracts: setup
	$(BIN)/lint-imports

check: lint types contracts

# The Helm chart, made of the manifests in Python.
chart: setup
	$(BIN)/python charts/generate.py

# Pictures of the pages for the documents, of runs of the template.
screenshots: setup
	$(BIN)/python docs/screenshots.py

lock:
	$(UV) pyproject.toml --all-extras --group build --group dev -o requirements/dev.txt
	$(UV) --group torch -c requirements/dev.txt -o requirements/torch.txt
	$(UV) --group uv -c requirements/dev.txt -o requirements/uv.txt
	$(UV) pyproject.toml -c requirements/dev.txt -o requirements/core.txt
	$(UV) pyproject.toml --extra objects -c requirements/dev.txt -o requirements/image.txt
	$(UV) pyproject.toml --extra sklearn --extra data --extra rl --group build -c requirements/dev.txt -o requirements/demo.txt

# The peers that benchmarks compare with, each in a lock of its own.
lock-peers: setup
	$(BIN)/$(UV) pyproject.toml --extra sklearn --extra data -c requirements/dev.txt -o benchmarks/requirements/served.txt
	for wanted in benchmarks/requirements/*.in; do $(BIN)/$(UV) $$wanted -o $${wanted%.in}.txt; done

bench: setup
	$(BIN)/python -m benchmarks

# What an installation of the core is made of.
sbom: setup
	@mkdir -p dist
	$(BIN)/python requirements/sbom.py requirements/core.txt dist/sbom.json

faults: setup
	$(BIN)/python -m pytest tests/faults tests/model tests/security --full --timeout 3600 -n $(WORKERS) --dist loadfile
	$(BIN)/python tests/report.py

clean:
	rm -rf .venv .pytest_cache .ruff_cache build dist
