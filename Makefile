# Two commands need nothing on the machine but Python 3.11+ and make:
#   make demo    set up, then create and train a Snake run for a few minutes
#   make test    set up, then pass every test
# For those who change the code, see CONTRIBUTING.md:
#   make check      everything that must pass: format, lint, types, docs, tests (each is a target of its own)
#   make coverage   the tests without Ray, and how many lines of the package they run
PYTHON ?= python3
VENV ?= .venv
# Two more measure, see benchmarks/README.md (PART=NAME for one part, LIST=1 for a list, OPTIONS for the rest):
#   make bench   under 15 minutes: how fast, beside what else there is
#   make learn   hours, part by part: how well
# One disturbs a long run, see docs/reliability.md:
#   make soak    half an hour (MINUTES=4 for less)
# One damages files, see docs/security.md:
#   make fuzz    a few minutes (MUTATIONS=500 for less)
# A build of torch other than pip's default, for example the CPU-only one: make demo TORCH_INDEX=URL
TORCH_INDEX ?=
MINUTES ?= 30
MUTATIONS ?= 5000
DEMO_RUN ?= runs/snake
DEMO_MINUTES ?= 4
# More episodes than the minutes allow.
DEMO_SETTINGS ?= --training-episodes 100000

BIN := $(VENV)/bin
READY := $(VENV)/.ready
INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

COVERED := $(addprefix tests/,acting cli evaluation features games_room jobs learning replay run training) \
	$(addprefix tests/test_,errors.py hyperparameters.py policy.py toml.py)

.PHONY: setup demo test format lint types docs coverage check bench learn soak fuzz clean

setup: $(READY)

$(READY): pyproject.toml requirements/tested.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(INDEX) --requirement requirements/tested.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/retro-gamer create --game retro.examples.snake --output $(DEMO_RUN) $(DEMO_SETTINGS) --force
	$(BIN)/retro-gamer train $(DEMO_RUN) --minutes $(DEMO_MINUTES)
	$(BIN)/retro-gamer info $(DEMO_RUN)
	@echo
	@echo "Watch it play:   $(BIN)/retro-gamer play $(DEMO_RUN)"

test: $(READY)
	$(BIN)/python -m pytest

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "docs/_build/index.html"

# Lines that run in processes of their own are not counted, so the tests of Ray would add time only.
coverage: $(READY)
	$(BIN)/coverage run -m pytest $(COVERED)
	$(BIN)/coverage report

# Quick checks first; the tests run once.
check: lint types docs test

MEASURE = $(if $(LIST),--list) $(if $(PART),--part '$(PART)') $(OPTIONS)

bench: $(READY)
	TORCH_INDEX=$(TORCH_INDEX) $(BIN)/python -m benchmarks.bench $(MEASURE)

learn: $(READY)
	TORCH_INDEX=$(TORCH_INDEX) $(BIN)/python -m benchmarks.learn $(MEASURE)

soak: $(READY)
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

fuzz: $(READY)
	$(BIN)/python -m benchmarks.fuzz --mutations $(MUTATIONS)

clean:
	rm -rf $(VENV)
