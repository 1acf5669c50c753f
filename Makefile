# `make demo` and `make test` do all their set-up themselves, in .venv. `make help` lists the rest.
# llama.cpp's wheel needs Python 3.10 or newer; the agent itself runs on 3.8 (make matrix).
PYENVS := $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.1[0-9]*/bin/python)
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 $(PYENVS); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done || true)
ifeq ($(strip $(PYTHON)),)
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint types matrix faults collector test-collector bench bench-peers wheel prices bundle layer bundle-lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

$(VENV)/.installed: pyproject.toml tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo]' --requirement tests/requirements.txt
	@touch $@

demo: $(VENV)/.installed ## an unmodified OpenAI program under the agent, against a local llama.cpp server
	$(BIN)/hf-openobserve demo

test: $(VENV)/.installed ## the tests; `make matrix` has those of web servers, pools and notebooks, too
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not hosts and not bundle"

lint: $(VENV)/.installed ## style, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --cache-dir .ruff_cache/imports

types: $(VENV)/.installed ## mypy, strict
	$(BIN)/mypy

matrix: $(VENV)/.installed ## Python 3.8 to 3.14, oldest and newest packages, openai 1.66, 2 and 3
	$(BIN)/python tests/fetch_python.py
	$(BIN)/nox

faults: $(VENV)/.installed ## the fault table, ours beside the stock pipeline: writes docs/reliability.md
	$(BIN)/python tests/faults/publish.py

collector: ## the gateway's OpenTelemetry Collector, from its Go modules: .collector/otelcol
	deploy/collector/build.sh

test-collector: $(VENV)/.installed collector ## programs under the agent, that Collector, OpenObserve behind it
	HF_OPENOBSERVE_COLLECTOR=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/collector

bench: $(VENV)/.installed ## ratios against bare Python and the stock pipeline
	$(BIN)/python benchmarks

bench-peers: $(VENV)/.installed ## the agent beside other tools, costs and records: writes docs/benchmarks.md
	$(BIN)/python benchmarks/peers.py --write

WHEEL := .nox/wheel
$(WHEEL)/.installed: Makefile
	$(PYTHON) -m venv $(WHEEL)
	$(WHEEL)/bin/python -m pip install --quiet build==1.6.1 twine==7.0.0
	@touch $@

wheel: $(WHEEL)/.installed ## dist/: wheel and sdist, with the checks of the package index
	rm -f dist/hf_openobserve-*
	$(WHEEL)/bin/python -m build --outdir dist .
	$(WHEEL)/bin/twine check --strict dist/hf_openobserve-*

prices: ## the package's price list, anew from genai-prices: needs Python 3.11
	$(PYTHON) -m venv .nox/prices
	.nox/prices/bin/python -m pip install --quiet genai-prices==0.2.3
	.nox/prices/bin/python deploy/bundle_prices.py

BUNDLE := .nox/bundle
$(BUNDLE)/.installed: deploy/bundle/requirements.txt
	$(PYTHON) -m venv $(BUNDLE)
	$(BUNDLE)/bin/python -m pip install --quiet --requirement deploy/bundle/requirements.txt
	@touch $@

bundle: $(BUNDLE)/.installed ## dist/agent: the agent for every Python at once, see docs/bundle.md; TARGETS="3.12 3.14-musllinux-aarch64", all
	$(BUNDLE)/bin/python deploy/bundle $(TARGETS)

layer: ## dist/hf-openobserve-layer.zip: the bundle's TARGETS (3.12) as a layer of AWS Lambda, see docs/functions.md
	$(PYTHON) deploy/functions $(TARGETS)

bundle-lock: $(BUNDLE)/.installed ## resolve the packages of the bundle anew
	$(BUNDLE)/bin/python deploy/bundle --lock

clean: ## remove what the targets made
	rm -rf $(VENV) .nox .mypy_cache .pytest_cache .ruff_cache .collector dist
