# Everything a newcomer needs: `make demo` and `make test`, both as root on Debian 12 (or its like).
VENV := .venv
BIN := $(VENV)/bin
# Some unit tests wait most of their time.
WORKERS := $(shell expr $$(nproc) \* 3 / 2)

.PHONY: demo test unit system web lint bench setup clean

setup:
	@./setup.sh

demo: setup
	@./examples/demo.sh

test: setup lint unit system web

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

unit: setup
	@$(BIN)/pytest -q -n $(WORKERS) tests/unit

system: setup
	@$(BIN)/pytest -q tests/system

web: setup
	@./setup.sh web
	@$(BIN)/pytest -q tests/web

bench:
	@./setup.sh bench
	@$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
