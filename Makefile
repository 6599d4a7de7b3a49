# Set-up and all routine commands. A new user needs `make demo` and `make test`.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
CHECK_TRAINING := check-training
STUDY := study-smoke
READY := $(VENV)/.ready

.PHONY: help demo test test-all test-newest test-lowest test-wheel check docs coverage format soak soak-fetch fuzz bench-fetch bench-shard bench-segmentation bench-segmentation-real bench-segmentation-sheets bench-step bench-evaluation bench-coverage study-smoke check-training clean

help:
	@echo "make demo                set up, render songs, build a dataset, generate with rendered-64, train from it, evaluate both; prints the gates that the model misses, exit code 0 (--allow-missed-gates) (about 10 minutes)"
	@echo "make test                set up, run the tests (10 to 17 minutes)"
	@echo "make test-all            also the tests that train for minutes"
	@echo "make check               ruff, pyright, import-linter, documentation site"
	@echo "make docs                build the documentation site into .site/"
	@echo "make coverage            tests with coverage, report in .coverage-html/"
	@echo "make test-newest         install the newest dependencies into a separate environment and test (about 10 minutes)"
	@echo "make test-lowest         install the lowest dependencies that pyproject.toml allows, and test"
	@echo "make test-wheel          build wheel and sdist, and test the wheel with each Python that is found"
	@echo "make soak                build from a faulty server with kills, interrupts, and lack of memory and disk space (under 20 minutes)"
	@echo "make soak-fetch          fetch from a faulty server with repeated kills (under 5 minutes)"
	@echo "make fuzz                100,000 corrupted files for all readers: no crash, no hang, no invalid value (minutes)"
	@echo "make bench-fetch         CPU and memory of fetching, compared with yt-dlp alone"
	@echo "make bench-shard         CPU, memory and disk of cutting and packing clips"
	@echo "make bench-segmentation  precision and recall of segments on 60 rendered songs (1 to 2 hours; minutes when repeated)"
	@echo "make bench-segmentation-real    the same on real songs, against the targets (needs their folder, PHONICS_SHARED_DATA; half an hour)"
	@echo "make bench-segmentation-sheets  timelines of the real songs and a contact sheet of 40 clips (needs their folder)"
	@echo "make bench-step          time and memory of a training step"
	@echo "make bench-evaluation    time and memory of evaluating 2,048 videos"
	@echo "make bench-coverage      simulate how often the intervals of cssgan study contain the true difference (20 minutes)"
	@echo "make study-smoke         render songs, ten of them for the test only; train and compare all models briefly (an hour)"
	@echo "make check-training      overfit 8 clips, then train and evaluate on held-out songs; prints the bounds that are missed, exit code 0 (--allow-missed-gates) (tens of minutes)"
	@echo "make clean               remove $(DEMO)/, $(CHECK_TRAINING)/, $(STUDY)/ and the caches; $(VENV)/ stays"

# A stamp file: an interrupted installation is repeated, a finished one is not.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e ".[cloud,cloud-test,demo,train,dev]"
	@touch $@

demo: $(READY)
	$(BIN)/phonics-data demo $(DEMO) --allow-missed-gates

# One thread per process: more threads would compete for the same cores.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2

test-all: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-newest test-lowest test-wheel:
	$(PYTHON) tests/try_installs.py $(@:test-%=%)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir .site

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir .site
	@echo "open .site/index.html"

coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --cov=phonics_data --cov=cssgan --cov-report=term --cov-report=html:.coverage-html

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(READY)
	$(BIN)/python -m tests.soak

soak-fetch: $(READY)
	$(BIN)/python -m tests.soak_fetch

# atheris has builds for few systems; without it the inputs are generated at random.
fuzz: $(READY)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e ".[fuzz]" || true
	$(BIN)/python -m tests.fuzz

bench-fetch: $(READY)
	$(BIN)/python -m benchmarks fetch

bench-shard: $(READY)
	$(BIN)/python -m benchmarks shard

bench-segmentation: $(READY)
	$(BIN)/python -m benchmarks segmentation --cache bench-segmentation --json bench-segmentation/segmentation.json

bench-segmentation-real: $(READY)
	$(BIN)/python -m benchmarks segmentation-real --cache bench-segmentation --json bench-segmentation/real.json --markdown bench-segmentation/real.md

bench-segmentation-sheets: $(READY)
	$(BIN)/python -m benchmarks segmentation-sheets --cache bench-segmentation

bench-step: $(READY)
	$(BIN)/python -m benchmarks step

bench-evaluation: $(READY)
	$(BIN)/python -m benchmarks evaluation 2048

bench-coverage: $(READY)
	$(BIN)/python -m benchmarks coverage

# The ten test songs have a seed of their own, which no other command uses: nothing was chosen on them.
study-smoke: $(READY)
	$(BIN)/phonics-data render $(STUDY)/songs --songs 30 --seed 1 --test-songs 10 --test-seed 90210
	$(BIN)/phonics-data build $(STUDY)/songs/manifest.csv --work $(STUDY)/work --out $(STUDY)/dataset --workers 2 \
		--engine captions --ocr never --splits $(STUDY)/songs/splits.csv
	$(BIN)/cssgan study all --shards $(STUDY)/dataset --out $(STUDY)/study --budget smoke --jobs 2

# Captions only, so that the labels of the training clips are certain.
check-training: $(READY)
	$(BIN)/phonics-data render $(CHECK_TRAINING)/songs --songs 40 --seed 1
	$(BIN)/phonics-data build $(CHECK_TRAINING)/songs/manifest.csv --work $(CHECK_TRAINING)/work --out $(CHECK_TRAINING)/dataset --workers 2 \
		--engine captions --ocr never --splits $(CHECK_TRAINING)/songs/splits.csv
	$(BIN)/cssgan check-training --shards $(CHECK_TRAINING)/dataset --out $(CHECK_TRAINING)/cssgan --allow-missed-gates

clean:
	rm -rf $(DEMO) $(CHECK_TRAINING) $(STUDY) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache .site .coverage .coverage-html
	find phonics_data cssgan benchmarks examples tests -name __pycache__ -type d -prune -exec rm -rf {} +
