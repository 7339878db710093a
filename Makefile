# Courtkeeper. `make demo` and `make test` do all their own set-up: Python 3.11+, make and a package
# index are enough. Every path is relative, because make cannot hold one with a space in it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory --no-builtin-rules

# The interpreter that .venv is built with; the first of python3, python3.14 … python3.11 when empty.
PYTHON ?=
export PYTHON
# How many pytest workers, and what else pytest is told: make test PYTEST_ARGS="-k refresh"
JOBS ?= 2
PYTEST_ARGS ?=

# What the caller's shell holds must not decide what runs here.
unexport CDPATH PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CONDA_PREFIX
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT UV_PYTHON UV_CONSTRAINT UV_PROJECT_ENVIRONMENT
unexport PYTEST_ADDOPTS MYPYPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE LANG LANGUAGE
$(foreach name,$(filter ANSIBLE_%,$(.VARIABLES)),$(eval unexport $(name)))
# Named, because Ansible ignores an ansible.cfg in a directory that others may write to.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export LC_ALL := C.UTF-8

BIN := .venv/bin
RUN := $(BIN)/python
LOCKED := requirements/bootstrap.lock pyproject.toml python_modules/courtkeeper/__init__.py tools/bootstrap

.PHONY: help
help: ## Show the targets
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/  \1\t\2/p' Makefile | expand -t 20

##### Set-up: stamps, so that a second call costs nothing

.venv/.demo: requirements/demo.lock $(LOCKED)
	@tools/bootstrap demo
.venv/.dev: requirements/dev.lock $(LOCKED)
	@tools/bootstrap dev
.venv/.hosts: requirements/hosts.lock $(LOCKED)
	@tools/bootstrap hosts

# A venv that was moved or copied with its checkout, or whose Python is gone, is built again.
ifneq ($(shell $(RUN) -c '' 2>/dev/null && cat .venv/.checkout),$(CURDIR))
.PHONY: .venv/.demo .venv/.dev .venv/.hosts
endif

##### What people do

.PHONY: demo demo-down
demo: .venv/.demo ## Start the embedded platform and run last night's refresh on it
	@$(RUN) tools/demo.py
demo-down: ## Stop the embedded platform
	@if [ -x $(BIN)/courtkeeper ]; then $(BIN)/courtkeeper platform down; fi

.PHONY: test test-fast test-python test-python-fast test-collection coverage
test: .venv/.hosts .venv/.dev ## Everything: lint, generated files, collection, sanity, all tests, test hosts
	@tools/system-packages
	@$(MAKE) -j2 lint-python check-generated
	@# At once: hosts mostly wait, and the checks of the collection use one core.
	@$(MAKE) -j3 test-python test-hosts test-collection
test-collection: # what is asked of the Ansible side without a host
	@$(MAKE) lint-ansible collection sanity
test-python: .venv/.dev # all tests that need no hosts
	$(RUN) -m pytest -n $(JOBS) --dist loadfile --durations=40 $(PYTEST_ARGS)

coverage: .venv/.dev ## All tests that need no hosts, with coverage; it costs half as much time again
	@tools/system-packages
	$(RUN) -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

test-fast: .venv/.dev ## The inner loop, under 3 minutes: ruff, mypy, the tests not marked slow
	@# At once: in a fresh clone mypy has no cache, and keeps one core busy for a while.
	@$(MAKE) -j2 lint-python test-python-fast
test-python-fast: .venv/.dev
	$(RUN) -m pytest -n $(JOBS) --dist loadfile -m "not slow" -q $(PYTEST_ARGS)

.PHONY: lint lint-python lint-ansible
lint: lint-python lint-ansible ## ruff, mypy, yamllint, ansible-lint
lint-python: .venv/.dev
	$(BIN)/ruff check --quiet --output-format concise .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
lint-ansible: .venv/.hosts # it looks the modules of the scenarios up
	$(BIN)/yamllint --strict .
	PATH="$$PWD/$(BIN):$$PATH" ANSIBLE_HOME="$$PWD/.ansible" $(BIN)/ansible-lint -q

##### Hosts of our own to test on; as root on Debian they need nothing that is not installed for them

# The images' name, and where they come from: registry, apt, or empty for whatever is in reach.
IMAGE ?= courtkeeper-test
IMAGES_FROM ?=
export COURTKEEPER_IMAGE := $(IMAGE)
export COURTKEEPER_IMAGES_FROM := $(IMAGES_FROM)
export COURTKEEPER_JOBS := $(JOBS)

.PHONY: engine engine-down images test-hosts fresh
engine: .venv/.dev ## Have a Docker engine: the one that answers, or as root one of our own
	@$(RUN) tools/engine.py up
engine-down: .venv/.dev ## Stop it, if it is our own
	@$(RUN) tools/engine.py down
images: .venv/.dev ## Build the images of the test hosts that the engine does not have yet
	@$(RUN) tools/images.py
test-hosts: .venv/.hosts ## Molecule: every role on Debian 12 and 13 (ARGS="agent converge": one step of one scenario)
	@$(RUN) tools/test_hosts.py $(ARGS)
fresh: .venv/.dev ## Clone HEAD into a bare Debian; demo and test-fast as root and as a user (DEBIAN=12: that release)
	@$(RUN) tools/fresh.py $(DEBIAN)

.PHONY: bench
bench: .venv/.dev ## Run every benchmark, into build/bench.txt; fails where one misses its limit
	@mkdir -p build; : >build/bench.txt
	@missed=0; for script in tests/benchmarks/bench_*.py; do \
	  echo "== $$script"; $(RUN) "$$script" || missed=1; \
	done > >(tee build/bench.txt) 2>&1; exit $$missed

##### What is made from something else

.PHONY: generate check-generated
generate: .venv/.dev ## Write the role READMEs and the other generated files
	@$(RUN) tools/generate.py
check-generated: .venv/.dev ## Fail, with the difference, when one of them or a lock is out of date
	@$(RUN) tools/generate.py --check
	@$(RUN) tools/lock.py --check

.PHONY: picture
picture: .venv/.dev ## Make the README's picture of a report anew (needs chromium)
	@tools/system-packages
	@$(RUN) tools/picture.py

.PHONY: lock
lock: ## Resolve requirements/*.lock again from pyproject.toml (UPGRADE=1: take the newest releases)
	@tools/bootstrap uv
	@settings=$$($(RUN) tools/pip_settings.py); eval "$$settings"; \
	$(RUN) tools/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: collection sanity
collection: .venv/.dev ## Build the tarball of courtkeeper.ops into build/
	@ANSIBLE_HOME="$$PWD/.ansible" $(RUN) tools/collection.py
sanity: .venv/.dev ## ansible-test sanity on the built collection
	@$(RUN) tools/sanity.py

##### What is thrown away

.PHONY: clean distclean
clean: demo-down ## Stop the platform; remove build outputs and caches, keep .venv and var/
	@rm -rf build dist .ansible .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name .venv -prune -o -name var -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
distclean: clean ## Also remove .venv, and with VAR=1 the platform's data and all runs (var/)
	@rm -rf .venv $(if $(VAR),var)
	@if [ -e var ]; then echo "var/ (the platform's data, all runs) is kept; make distclean VAR=1 removes it"; fi
