# make book | make test | make lab | make reproduce PROFILE=paper | make bench | make bands NOTEBOOK=paper/name | make witness | make audit
# Each sets up its own environment in .venv the first time. EXTRAS=gpu takes CUDA torch and faiss-gpu; LOCKED=1 takes the
# exact versions of locks/, each with its hash (Linux, Python 3.11). make locks renews those.
PYTHON ?= python3
EXTRAS ?= cpu
PROFILE ?= paper
CORES ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)")
VENV := .venv
BIN := $(VENV)/bin
LOCKED ?=
LOCK := locks/$(EXTRAS).txt
READY := $(VENV)/.ready-$(EXTRAS)$(if $(LOCKED),-locked)
TORCH := 2.13.0
TORCHVISION := 0.28.0
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help env book test lint lab locks reproduce bands witness audit bench bench-all clean

help:
	@sed -n '1,3p' Makefile

env: $(READY)

# A CPU install takes the CPU build of torch first, so that nothing of CUDA comes in: from the places
# this machine's pip already knows if they have one, else from PyTorch's own index.
$(READY): pyproject.toml $(if $(LOCKED),$(LOCK))
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) ($(EXTRAS)); this happens once and takes a few minutes"
	@rm -f $(VENV)/.ready-*
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef LOCKED
	@$(BIN)/python -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "the locks are for Python 3.11: make PYTHON=python3.11 ...")'
	$(BIN)/pip install -q --no-deps --require-hashes -r $(LOCK) || \
	$(BIN)/pip install -q --no-deps --require-hashes -r $(LOCK) --extra-index-url $(TORCH_CPU_INDEX)
	$(BIN)/pip install -q --no-deps -e .
else
	@if [ "$(EXTRAS)" = cpu ]; then \
	  $(BIN)/pip install -q --no-deps "torch==$(TORCH)+cpu" 2>/dev/null || \
	  $(BIN)/pip install --no-deps "torch==$(TORCH)" "torchvision==$(TORCHVISION)" --index-url $(TORCH_CPU_INDEX); \
	fi
	$(BIN)/pip install -q -e ".[$(EXTRAS),book,test]" 2>&1 | { grep -v "^WARNING: Location" || true; }
endif
	@$(BIN)/python -c "import clustlib, torch, torchvision, faiss; print('torch', torch.__version__, 'faiss', faiss.__version__)"
	@touch $@

# The versions that are installed here become those of LOCKED=1.
locks: $(READY)
	@locks/refresh

book: $(READY)
	@$(BIN)/python -m clustlib.reproduce book --parent $$PPID --cores $(CORES)

reproduce: $(READY)
	@$(BIN)/python -m clustlib.reproduce book --parent $$PPID --cores $(CORES) $(if $(filter paper,$(PROFILE)),--recompute missing)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n $(CORES) --dist worksteal
	@echo "the notebooks, cell outputs compared:"
	@# nbval reads a cell's messages when it has ended; a slow cell's progress bars would fill the queue and push out the last
	@TQDM_MININTERVAL=60 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval-lax --nbval-current-env notebooks -n $(CORES) --dist loadscope -q

lab: $(READY)
	@$(BIN)/jupyter lab notebooks

# The regression bands of NOTEBOOK=paper/name (or several, in quotes); of every notebook where none is named.
bands: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m clustlib.reproduce bands $(NOTEBOOK)

# After a change of the code: do witnesses show that no record is touched? FROM=REVISION, NOTE="what changed".
witness: $(READY)
	@$(BIN)/python -m clustlib.records carry $(if $(FROM),--from $(FROM)) $(if $(NOTE),--note "$(NOTE)")

# Do today's versions of torch and the others compute what the records hold?
audit: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m clustlib.records audit

# On a GPU machine that has torch and triton of its own, nothing is installed, and the GPU alone is measured.
BARE := import sys, torch, triton, sklearn; sys.exit(not torch.cuda.is_available())
bench:
	@if [ ! -e $(READY) ] && $(PYTHON) -c "$(BARE)" 2>/dev/null; \
	  then PYTHONPATH=. $(PYTHON) benchmarks/gpu.py; \
	  else $(MAKE) --no-print-directory bench-all; fi

bench-all: $(READY)
	@for script in benchmarks/*.py; do echo "$$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf _build .snakemake
