# EgoReAct: `make run` trains and promotes, `make serve` serves, `make test` tests. `make help` lists the rest.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PAGE := serving/web/dist/index.html
PRESET ?= demo
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiled bytecode saves seconds at each start of the heavy packages.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run serve ui test test-again lint format bench web infra-check clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(INSTALLED)  ## create .venv from constraints.txt

# uv installs the pinned packages several times faster than pip; it reads pip's find-links only when told to.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$$(sed -n 's/^uv==//p' constraints.txt)
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true)}" VIRTUAL_ENV=$(VENV) \
		$(BIN)/uv pip install --quiet --compile-bytecode --constraint constraints.txt --editable '.[training,pipelines,serving,look,dev]'
	touch $@

web: $(PAGE)  ## build the page of the service

$(PAGE): $(INSTALLED) serving/web/package-lock.json serving/web/build.mjs $(wildcard serving/web/src/*)
	cd serving/web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

run: $(INSTALLED)  ## data, training, evaluation, promotion, release on this machine
	egoreact pipeline run --preset $(PRESET)

serve: $(INSTALLED) $(PAGE)  ## serve the promoted version on loopback
	egoreact serve

ui: $(INSTALLED)  ## MLflow's pages: runs, curves, videos, versions
	egoreact ui

test: $(INSTALLED) $(PAGE)  ## all tests
	pytest -n 2 --dist loadfile --no-loadscope-reorder

test-again: $(INSTALLED) $(PAGE)  ## what failed in the last `make test`, one after another
	pytest --last-failed --last-failed-no-failures none --maxfail 5

lint: $(INSTALLED)  ## ruff, mypy, import contracts
	ruff check .
	ruff format --check .
	mypy
	lint-imports

format: $(INSTALLED)  ## rewrite the sources to the project's style
	ruff check --fix .
	ruff format .

infra-check: $(INSTALLED)  ## render and check the cluster's manifests, workflows and compiled pipelines
	python -m infra.check

bench: $(INSTALLED)  ## measure; the last line is JSON
	egoreact bench all

clean:  ## delete what the workflow made on this machine (not data/)
	rm -rf .egoreact
