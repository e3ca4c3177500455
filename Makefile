# What is done often; `.ci/run` is what must pass.
BIN := .venv/bin

.PHONY: install test test-slow test-fast lint docs package

install:
	python3 -m venv .venv && $(BIN)/pip install -r requirements-dev.txt

test:
	$(BIN)/pytest -n 2

test-slow:
	$(BIN)/pytest -m slow

test-fast:
	$(BIN)/pytest -n 2 -m fast

lint:
	find . -name '*.pyi' -not -path './.venv/*' -delete
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

docs:
	$(BIN)/python docs/take_screenshots.py

package:
	$(BIN)/pip wheel --no-deps --wheel-dir dist .
