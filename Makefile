PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
STORE ?= results

# One thread a process: the cells of a sweep are what runs in parallel.
export OMP_NUM_THREADS ?= 1
export NUMBA_NUM_THREADS ?= 1
# Where it is set, each of the processes that tests start would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: reproduce compare quick docs test test-fast test-shapes test-ray lint benchmark cost-figure calibrate clean

reproduce: $(VENV)/ready
	$(BIN)/theory-check reproduce --store $(STORE) --jobs $(JOBS)

compare: $(VENV)/ready
	$(BIN)/theory-check compare --store $(STORE) --jobs $(JOBS)

quick: $(VENV)/ready
	$(BIN)/theory-check reproduce --quick --store $(STORE) --jobs $(JOBS)

# The site, in build/docs: tutorials are executed, and warnings are errors.
docs: $(VENV)/docs-ready
	$(BIN)/sphinx-build -T -q -W --keep-going docs build/docs
	@echo "open build/docs/index.html"

test: $(VENV)/ready $(VENV)/docs-ready
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --shapes

# What a save is checked with: of every room the tests that take no time.
test-fast: $(VENV)/ready
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not slow'

# Alone what make test ends with: shapes as they are annotated, enforced on a part of the tests.
test-shapes: $(VENV)/ready
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --shapes

# Apart from the tests, which run those of Dask: what Ray brings is large.
test-ray: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt --editable '.[dev,ray]'
	$(BIN)/python -c 'import ray, sys; print("Ray", ray.__version__, "on Python", sys.version.split()[0])'
	$(BIN)/python -m pytest tests/runs/test_ray.py -v

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: $(VENV)/ready
	$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only -p no:xdist

cost-figure: $(VENV)/ready
	PYTHONPATH=tests $(BIN)/python -m benchmarks.cost_figure docs/gallery/oracle_cost.png

calibrate: $(VENV)/ready
	PYTHONPATH=tests $(BIN)/python -m calibration.planted
	PYTHONPATH=tests $(BIN)/python -m calibration.residuals --store $(STORE)

$(VENV)/ready: pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt --editable '.[dev]'
	touch $@

# Apart from the rest, so that results can be reproduced without what writes pages.
$(VENV)/docs-ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt --editable '.[dev,docs]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
