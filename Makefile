# Every target does its own set-up, can be interrupted and run again. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
# The distribution's Python first: it is built with profile-guided optimisation, which one compiled by pyenv usually is not.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY := $(VENV)/bin/python
PYTEST := $(VENV)/bin/pytest
UV := $(shell command -v uv || echo out/uv/bin/uv)
export PYTHONPATH := $(CURDIR):$(CURDIR)/examples/demo
# The tests start hundreds of Python processes. Without compiled files each would take a second longer, compiling.
unexport PYTHONDONTWRITEBYTECODE
KEEP ?=
ONLY ?=
RUNS ?=
SEEDS ?=
SEED ?=

# CI's machine is shared and noisy: there, and only there, what failed gets one second try, in the open. Not after a run
# that ended early (pytest's status 2): what it never came to would count as passed.
second_try = || { test $$? = 1 && echo "a second try of what failed" && $(PYTEST) --last-failed --last-failed-no-failures none $(1) -n 0; }
pytest = $(PYTEST) $(1) $(if $(CI),$(call second_try,$(1)))

# Files go to whichever worker is free; a file's tests share what it starts.
side_by_side = -n 4 --dist loadfile

.PHONY: help init format lint check crds crds-check test unit contract sim sim-mutations slow e2e bench matrix demo lab-up lab-down lab-status images lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

init: $(VENV)/.ready ## Make the Python environment from the lock file.

$(VENV)/.ready: requirements.lock pyproject.toml examples/callcenter/pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: needs python3 (3.11 or newer); install it and run make again"; exit 1; }
	@echo "environment: installing the packages of requirements.lock (about 40 s the first time)"
	@$(MAKE) --no-print-directory $(UV)
	@$(UV) venv --quiet --clear --python "$(PYTHON)" $(VENV)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip sync --quiet --compile-bytecode requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps -e . -e examples/callcenter
	@touch $@

# A distribution's Python may come without pip, and may refuse to install for everybody: uv gets an environment of its own.
out/uv/bin/uv:
	@$(PYTHON) -m venv --clear out/uv >/dev/null 2>&1 || \
		{ echo "environment: installing Debian's python3-venv"; \
		  apt-get install -qq -y python3-venv >/dev/null && $(PYTHON) -m venv --clear out/uv; } || \
		{ echo "make: needs uv, or python3 with venv (Debian: apt-get install python3-venv); install one and run make again"; exit 1; }
	@out/uv/bin/pip install --quiet --disable-pip-version-check uv

lock: ## Renew the lock files from the two pyproject.toml files.
	$(UV) pip compile -q --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml examples/callcenter/pyproject.toml --group dev -o requirements.lock
	$(UV) pip compile -q --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -c requirements.lock -o operator/requirements.lock
	$(UV) pip compile -q --universal --generate-hashes --no-emit-index-url --no-header examples/callcenter/pyproject.toml -c requirements.lock -o examples/callcenter/requirements.lock

format: init ## Format the code and mend what the linter can mend.
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lint: init ## What looks at the code without running it: format, lint, types, layers, CRDs.
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m tandem.api.crd --check crds

check: lint ## The fast loop, about 90 s: lint, unit tests, the quick contract tests and a sample of the simulation.
	$(PY) -m lab tools
	$(call pytest,-q tests/unit tests/contract tests/sim -m "not slow" $(side_by_side))

crds: init ## Write crds/, the chart's copy and the schema of drill reports from the pydantic models.
	$(PY) -m tandem.api.crd --out crds
	$(PY) -m tandem.domain.report_schema > docs/drill-report.schema.json

unit: init ## Unit tests only.
	$(PYTEST) -q tests/unit $(side_by_side)

contract: init ## Contract tests, the slow ones too: each adapter against the real thing, no lab.
	$(PY) -m lab tools
	$(call pytest,-q tests/contract $(side_by_side))

sim: init ## Deterministic simulation, 10,000 seeds (SEEDS=200 for some, SEED=4711 to see one); report in out/sim/.
	$(PY) -m tests.sim $(if $(SEED),--seed $(SEED),$(if $(SEEDS),--seeds $(SEEDS)))

sim-mutations: init ## Each promise broken on purpose in the code: by which seed the simulation finds it (about 10 min).
	$(PY) -m tests.sim.mutations $(SEEDS)

slow: init ## The tests without the lab that `make check` leaves out.
	$(PY) -m lab tools
	$(call pytest,-q tests/unit tests/contract tests/sim -m slow $(side_by_side))

e2e: init ## End-to-end tests on the lab's three cities; the lab goes down again at the end.
	$(call pytest,-v --durations=20 tests/e2e)

test: lint ## All tests: without the lab, the slow ones among them, then end to end on it (at most 70 min from cold).
	$(PY) -m lab tools
	@# Built beside the tests it would take the processors from those that count seconds.
	$(PY) -c "from lab import tools; tools.path('kustomize-controller')"
	$(call pytest,-q tests/unit tests/contract tests/sim $(side_by_side))
	$(MAKE) --no-print-directory e2e

bench: init ## Benchmarks on the lab (RUNS=10 for more of each), then idle engines and one plan without it: JSON, tables and pictures in out/bench/.
	$(PY) -m tests.bench $(if $(RUNS),--runs $(RUNS))

matrix: init ## Every fault and what must come of it (about 65 min; ONLY="engine|clock" for some); table in out/matrix/.
	$(PY) -m tests.matrix $(if $(ONLY),--only "$(ONLY)")

demo: init ## The main job: two cities and a witness, 1,200 agents, eight planned moves, a drill with its report, a city that dies and comes back; out/demo/.
	$(PY) -m demo $(if $(KEEP),--keep)

lab-up: init ## Start three empty cities, with networks for floors and carrier (with everything installed: make demo KEEP=1).
	$(PY) -m lab up

lab-down: init ## Stop the lab; nothing stays behind.
	$(PY) -m lab down

lab-status: init ## Say what runs, and who holds the lab.
	$(PY) -m lab status

images: init ## Build the container images.
	$(PY) -m lab images

clean: ## Remove what was built in the checkout (not the caches).
	rm -rf $(VENV) out dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
