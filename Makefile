# `make` alone lists the targets. Every target that needs the environment sets it up first, once.
#
#   PYTHON=python3.12        the interpreter for a new .venv (default: the newest of 3.13, 3.12, 3.11 that works)
#   PIP_ARGS="..."           further arguments for pip. On Linux, PyPI's torch brings CUDA (several GB); the CPU build is
#                            PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   PYTEST_ARGS="..."        further arguments for pytest, as in PYTEST_ARGS="-n 0 -k quotas"
#   LOCK_ARGS="..."          further arguments for the resolver, as in LOCK_ARGS="--upgrade-package polars"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test soak dev check format bench lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)

# No third party is told what is done here, and none is asked for a price list or a newer version.
export DAGSTER_DISABLE_TELEMETRY := 1
export DAGSTER_DG_UPDATE_CHECK_ENABLED := 0
export GX_ANALYTICS_ENABLED := false
export HF_HUB_DISABLE_TELEMETRY := 1
export LITELLM_LOCAL_MODEL_COST_MAP := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A virtual environment makes pip refuse --user, and dg wants it active; PATH finds `synth`, `dagster` and `dg` in it.
ACTIVATED := VIRTUAL_ENV="$(CURDIR)/$(VENV)" PATH="$(CURDIR)/$(BIN):$$PATH"

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything in requirements.lock, and this project (done by every target that needs it)

$(STAMP): requirements.lock pyproject.toml
	@rm -f $@
	@usable() { "$$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }; \
	if usable $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1; then exit 0; fi; \
	for python in $(PYTHONS); do \
		if usable "$$python"; then \
			echo "Making $(VENV) with $$("$$python" --version) ($$python)"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "No usable Python 3.11 or newer among: $(PYTHONS)." >&2; \
	echo "Install one with its venv module (Debian: python3-venv), or name it: make setup PYTHON=/path/to/python3" >&2; \
	exit 1
	$(BIN)/python -m pip install $(PIP_ARGS) --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	@touch $@

demo: setup ## Run the evidence dataset on two offline providers: no key, no network, no cost
	$(ACTIVATED) synth run evidence --provider offline-terse --provider offline-formal --seed 0 --limit 120

test: setup ## Run the tests
	$(ACTIVATED) pytest $(PYTEST_ARGS)

soak: setup ## Repeat the randomised and concurrent tests ten times
	$(ACTIVATED) SYNTH_SOAK=$${SYNTH_SOAK:-10} pytest -m soak $(PYTEST_ARGS)

dev: setup ## Open the Dagster UI on http://127.0.0.1:3000
	$(ACTIVATED) DAGSTER_HOME="$(CURDIR)" PYTHONWARNINGS='ignore:Function `dev_command` is superseded' dagster dev

check: setup ## Lint, formatting, types and import contracts
	$(ACTIVATED) ruff check .
	$(ACTIVATED) ruff format --check .
	$(ACTIVATED) mypy
	$(ACTIVATED) lint-imports

format: setup ## Sort imports, apply the safe fixes, format
	$(ACTIVATED) ruff check --fix-only .
	$(ACTIVATED) ruff format .

bench: setup ## Run every benchmark and print its table
	@for benchmark in benchmarks/*.py; do \
		[ -e "$$benchmark" ] || continue; \
		echo "== $$benchmark"; \
		$(ACTIVATED) python "$$benchmark" $(BENCH_ARGS) || exit 1; \
	done

# One resolution for every platform and for 3.11 and newer; pins that still fit are kept. torch stands without a build suffix, and the
# CUDA packages are left out: pip adds what the platform's own torch asks for.
lock: setup ## Resolve requirements.lock anew from pyproject.toml
	cp requirements.lock $(VENV)/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev \
		--annotation-style line --custom-compile-command "make lock" $(LOCK_ARGS) \
		--output-file $(VENV)/requirements.lock pyproject.toml
	sed -E -e '/^(nvidia|cuda|triton)([-=])/d' -e '/^--/d' -e 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/' \
		$(VENV)/requirements.lock > requirements.lock

clean: ## Delete caches and build products; never data, the ledger, run history or .venv
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find synth_pipeline synth_pipeline_tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +
