# Every target makes .venv by itself when it is missing or older than the lock file.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
HOME_DIR ?= data
# Packages that `make test-full` installs ask nothing.
export DEBIAN_FRONTEND := noninteractive

.DEFAULT_GOAL := help
.PHONY: .venv help run test test-full wget chromium postgres systemd lint types goldens docs bench bench-size serve lock clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# The lock names all that is needed, for each Python: nothing is left to resolve (--no-deps).
# The stamp, not the folder, is the target: an install that was cut off is done again.
$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"cptflow needs Python 3.11 to 3.13; {sys.executable} is {v.major}.{v.minor}. Name another one: make PYTHON=python3.12 ...")'
	@echo "Installing into $(VENV), once. It takes a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv: $(VENV)/.installed

run: .venv       ## the main job on the sample pages, into ./data
	@$(BIN)/cptflow run --each raw/samples/* --home $(HOME_DIR)

test: .venv lint ## lint, types and the quick tests (under 5 minutes)
	$(BIN)/pytest -q -n auto -m "not full"

# Beside what is marked `full`, the property tests again, with many more examples. Many of these tests wait for servers:
# one more at a time than there are cores.
test-full: .venv wget chromium postgres systemd ## what takes longer: servers on loopback, crawls, kill loops, hostile pages, long properties, a browser
	CPTFLOW_HYPOTHESIS=full $(BIN)/pytest -q -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --durations 30 -m "full or hypothesis"

# It writes WARC files as many archives hold them, which must land.
wget:
	@command -v wget > /dev/null || { \
	  echo "Installing wget, which a test needs: apt-get install wget"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq wget; } \
	  || { echo "wget is missing and could not be installed. As root: apt-get install wget"; exit 1; }; }

# It opens the quality report as people do.
chromium:
	@command -v chromium > /dev/null || { \
	  echo "Installing chromium, which a test needs: apt-get install chromium"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } \
	  || { echo "chromium is missing and could not be installed. As root: apt-get install chromium"; exit 1; }; }

# Prefect's server keeps its database there.
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || { \
	  echo "Installing PostgreSQL, which a test needs: apt-get install postgresql"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq postgresql; } \
	  || { echo "PostgreSQL is missing and could not be installed. As root: apt-get install postgresql"; exit 1; }; }

# It reads the units of docs/systemd, running or not.
systemd:
	@command -v systemd-analyze > /dev/null || { \
	  echo "Installing systemd, whose systemd-analyze a test needs: apt-get install systemd"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq systemd; } \
	  || { echo "systemd-analyze is missing and could not be installed. As root: apt-get install systemd"; exit 1; }; }

lint: .venv      ## ruff (lint and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

goldens: .venv   ## write candidates for goldens that are missing or differ, and show the differences
	$(BIN)/python -m tests.golden.candidates

docs: .venv      ## write the data dictionary and the pictures again
	$(BIN)/python -m warehouse.dictionary docs/data-dictionary.md
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/prefect_picture.py

bench: .venv     ## measure every step, into docs/performance.md (eleven minutes)
	$(BIN)/python -m benchmarks.bench docs/performance.md

bench-size: .venv ## measure all codes on three sources, into docs/performance.md (ten minutes)
	$(BIN)/python -m benchmarks.size docs/performance.md

serve: run       ## Prefect on this machine: server, UI and a weekly schedule over ./data, and a run right now
	$(BIN)/cptflow serve --now --cron "0 6 * * 1" --home $(HOME_DIR) raw/samples

LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml

lock: .venv      ## resolve the lock files again
	$(BIN)/pip install --quiet uv
	$(LOCK) -o requirements.lock
	$(LOCK) --extra dev -o requirements-dev.lock

clean:           ## remove .venv, caches and ./data
	rm -rf $(VENV) $(HOME_DIR) .pytest_cache .mypy_cache .ruff_cache .hypothesis
