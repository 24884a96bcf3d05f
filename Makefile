# The verbs of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NPM_CI := npm ci --no-audit --no-fund --loglevel=error

.PHONY: help setup run test check fuzz format bench bench-all cost torture simulate layers lock clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.python-ready frontend/dist/.built ## the venv at .venv and the front-end build; idempotent

$(VENV)/.python-ready: requirements/dev.lock requirements/no-deps.lock layers/maypacs/pyproject.toml edge-forwarder/pyproject.toml infra/node/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MayPACS needs Python 3.11 or newer: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/no-deps.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e layers/maypacs -e edge-forwarder -e infra/node
	touch $@

frontend/node_modules/.ready: frontend/package-lock.json
	cd frontend && $(NPM_CI)
	touch $@

frontend/dist/.built: frontend/node_modules/.ready $(shell find frontend/src frontend/public frontend/index.html frontend/vite.config.ts -type f 2>/dev/null)
	cd frontend && npm run --silent build
	touch $@

run: setup ## a durable private node and one edge, with a sample study; Ctrl-C stops it
	$(BIN)/python -m maypacs_node.demo --data data

test: setup ## every test that this machine can run; says what is missing
	@bash tests/run.sh

check: setup ## lint, types, import contracts, template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy layers/maypacs/src edge-forwarder/src infra/node/src
	for f in functions/*/handler.py; do $(BIN)/mypy --no-namespace-packages --no-explicit-package-bases $$f || exit 1; done
	$(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml infra/*.yaml
	cd frontend && npm run --silent check

fuzz: setup ## new examples for every test of properties, a minute or two a round; FUZZ=10 rounds
	@for round in $$(seq $${FUZZ:-1}); do $(BIN)/pytest -q -n 2 -m hypothesis --hypothesis-profile=search tests/unit tests/fuzz tests/functional tests/contract || exit 1; done

format: setup ## let the tools put the code in shape
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	cd frontend && npm run --silent format

bench: setup ## the table of docs/benchmarks.md, measured here: 15 minutes, 15 GB of disk, memory as there is (up to 22 GB)
	$(BIN)/python -m tests.bench --install

SCALE_FOLDER ?= $(or $(TMPDIR),/tmp)/maypacs-scale
bench-all: setup ## every measurement and every document of docs/ that holds one (but for make simulate): 65 minutes or more, 15 GB of disk
	@echo 'One after the other, on a machine that does nothing else:'
	@echo '  bench   15 min, 15 GB  docs/benchmarks.md, .json, the goals of docs/performance.md'
	@echo '  viewer  12 min,  2 GB  docs/benchmarks-viewer.md (chromium, dcmtk)'
	@echo '  edge     5 min,  2 GB  docs/benchmarks-edge.md'
	@echo '  scale   15 min, 14 GB  docs/scale/ (the first time 10 to 20 min more: archives are filled and kept in $(SCALE_FOLDER))'
	@echo '  beyond  10 s           docs/scale.md'
	@echo '  compaction 2 min       docs/compaction.json, its tables in docs/performance.md'
	@echo '  cost     2 min,  1 GB  docs/cost.md, docs/scale/cost.svg, the figures of README'
	@df -h $(or $(TMPDIR),/tmp) | tail -1 | awk '{print "Disk left for it: " $$4}'
	$(BIN)/python -m tests.bench --install
	$(BIN)/python -m tests.bench.viewer
	$(BIN)/python -m tests.bench.edge
	$(BIN)/python -m tests.bench.scale --folder $(SCALE_FOLDER)
	$(BIN)/python -m tests.bench.beyond --write
	$(BIN)/python -m tests.bench.compaction
	$(BIN)/python -m tests.bench.cost
	$(BIN)/python -m tests.bench.cost.document

torture: setup ## storms of faults against real processes, half an hour; TORTURE="--seed N" and other options
	TCP_NODELAY=1 $(BIN)/python -m tests.torture $(TORTURE)

simulate: setup ## a day of a hospital with 400 beds in 12 minutes; writes docs/hospital-day.md
	$(BIN)/python -m tests.simulate

layers: setup ## the layers of template.yaml in build/layers (arm64)
	$(BIN)/python infra/deploy/layers.py

lock: ## make the lock files anew (needs uv)
	cd requirements && for f in runtime edge edge-codecs dev; do uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q $$f.in -o $$f.lock; done
	cd requirements && uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-deps -q no-deps.in -o no-deps.lock
	cd requirements && uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q ministack.in -o ministack.lock

cost: setup ## counts what work asks of AWS, and writes the tables of docs/cost.md anew
	$(BIN)/python -m tests.bench.cost
	$(BIN)/python -m tests.bench.cost.document

clean: ## what can be rebuilt (never the data)
	rm -rf $(VENV) .venv-* frontend/dist frontend/node_modules tests/contract/node_modules .mypy_cache .ruff_cache .pytest_cache build
