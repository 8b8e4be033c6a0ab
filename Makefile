# The newcomer's two commands are `make train` and `make test`; each sets up .venv by itself.
PYTHON ?= python3
SHOP ?= complete-journey
STORE ?=
BIN := .venv/bin

.PHONY: train test lint format typecheck notebooks benchmark neo4j neo4j-stop clean

train: .venv/ready
	$(BIN)/python -m gnn.train --shop $(SHOP) $(if $(STORE),--store $(STORE)) $(ARGS)

test: .venv/ready
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: .venv/ready
	$(BIN)/mypy

notebooks: .venv/ready
	$(BIN)/python -m pytest tests/test_notebooks.py

benchmark: .venv/ready
	$(BIN)/python benchmarks/main_job.py

# A Neo4j of this machine, by Docker where its daemon runs, else from jars (Java 17 and Maven).
neo4j: .venv/ready
	@$(BIN)/python -m kg.neo4j_server start $(ARGS)

neo4j-stop: .venv/ready
	@$(BIN)/python -m kg.neo4j_server stop $(ARGS)

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; run: make PYTHON=python3.11 (or newer)" >&2; exit 2; }
	@$(PYTHON) -m venv --help >/dev/null 2>&1 && $(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "error: $(PYTHON) cannot make a virtual environment; install its venv package (Debian: python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --only-binary=:all: --editable ".[dev]"
	@touch .venv/ready
