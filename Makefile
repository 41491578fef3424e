# The commands of the project. Each installs what it needs into .venv, and does nothing twice.
#
#   make test             the C self-tests, then the Python tests on the installed package
#   make test PEERS=1     with the large libraries that it is compared with as well: Keras on JAX, PyTorch
#   make test ARGS="-k dropout -x"      arguments for pytest
#   PYTHON=python3.13 make test         another Python than python3; VENV=.venv13 to keep both

SHELL = /bin/bash
.SHELLFLAGS = -euo pipefail -c
.DEFAULT_GOAL = help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
PEERS ?=
ARGS ?=
comma = ,
CLANG_FORMAT_FILES = $(wildcard csrc/*.[ch] csrc/tests/*.[ch])
BIN = $(VENV)/bin
STAMPS = $(VENV)/stamps
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet
SOURCES = setup.py pyproject.toml $(shell find fastnn csrc -not -path '*/build/*' -not -path '*/tests/*' \
    \( -name '*.py' -o -name '*.p[xy]*' -o -name '*.[ch]' -o -name '*.def' -o -name '*.mk' -o -name '*.npz' \))

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ------------------------------------------------------------------------------------------------------- environments

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    f"fastnn needs Python 3.11 or later; $(PYTHON) is {sys.version}")'
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# A stamp for each file of requirements
$(STAMPS)/%: requirements/%.txt $(STAMPS)/venv
	$(PIP) -r $<
	@touch $@
$(STAMPS)/check: requirements/docs.txt
$(STAMPS)/peers: requirements/light.txt

# Their modules are compiled to bytecode when they are first imported: most of them never are
$(STAMPS)/build: PIP += --no-compile

# The package, built and installed. pip would hide how far it is. build/ keeps what need not be compiled again.
# FASTNN_ISAS=native: kernels for this processor only, as the package is not for another (make wheel makes those).
# $(CLEAN_BUILD): all but the extensions, as a module that is no longer there would otherwise be installed
CLEAN_BUILD = rm -rf build/bdist* build/wheel; find build/lib* -type f ! -name '*.so' ! -name '*.pyd' -delete 2> /dev/null || true
$(STAMPS)/package: $(SOURCES) $(STAMPS)/build
	@$(CLEAN_BUILD)
	@FASTNN_ISAS=$${FASTNN_ISAS-native} $(BIN)/python -c 'from setuptools import build_meta; \
	    build_meta.build_wheel("build/wheel", {"--global-option": ["--quiet"]})'
	$(PIP) --no-deps --force-reinstall build/wheel/*.whl
	@touch $@

# PYTHONSAFEPATH: what a test starts must not find the source folder either
TESTING = $(STAMPS)/package $(STAMPS)/test $(STAMPS)/light $(if $(filter-out 0,$(PEERS)),$(STAMPS)/peers)

# ------------------------------------------------------------------------------------------------------------- commands

demo: $(STAMPS)/package ## a first network, and what this machine offers
	@$(BIN)/python examples/demo.py

test: $(TESTING) ## C self-tests, then pytest on the installed package (PEERS=1: with Keras, JAX and PyTorch too)
	$(MAKE) -C csrc test
	PYTHONSAFEPATH=1 $(BIN)/pytest $(ARGS)

check: $(STAMPS)/package $(STAMPS)/check docs ## linters, formatters, types, stubs, documentation, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cython-lint fastnn/_core
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml --allowlist requirements/stubtest-allowed.txt --ignore-unused-allowlist \
	    $(patsubst fastnn/_core/%.pyx,fastnn._core.%,$(wildcard fastnn/_core/*.pyx))
	$(BIN)/clang-format --dry-run --Werror $(CLANG_FORMAT_FILES)
	$(BIN)/zizmor --offline --pedantic --no-progress --quiet .github

format: $(STAMPS)/check ## let the formatters rewrite the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CLANG_FORMAT_FILES)

# Each program's figures on the terminal; those that pictures are made of in build/bench too
BENCH_OUT = build/bench
BENCH = $(BIN)/python benchmarks/$(1).py $(if $(2),--json $(BENCH_OUT)/$(1).json)

bench: $(STAMPS)/package $(STAMPS)/bench $(if $(filter-out 0,$(PEERS)),$(STAMPS)/peers $(STAMPS)/bench-peers) ## time fastnn against NumPy (PEERS=1: and every other library)
	@mkdir -p $(BENCH_OUT)
	$(call BENCH,vs_numpy)
	$(call BENCH,training,json)
	$(call BENCH,fits,json)
	$(call BENCH,serving,json)
	$(call BENCH,sweeps,json)
	$(call BENCH,together)
	$(call BENCH,footprint)
	$(call BENCH,activations)
	$(call BENCH,optimizers)
	$(call BENCH,losses)
	$(BIN)/python benchmarks/pictures.py $(BENCH_OUT)
	$(BIN)/python benchmarks/tables.py $(BENCH_OUT)

docs: $(STAMPS)/package $(STAMPS)/docs ## the documentation, into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

wheel: $(STAMPS)/venv $(STAMPS)/wheel ## a wheel that other machines can install, into dist/; at most 2.5 MB, hardened
	@rm -rf build/lib* build/bdist* dist
	PIP_CONSTRAINT=requirements/build.txt $(BIN)/python -m build --outdir dist/raw
	$(if $(filter Linux,$(shell uname -s)),PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --strip -z 9 --wheel-dir dist dist/raw/*.whl,cp dist/raw/*.whl dist)
	@mv dist/raw/*.tar.gz dist && rm -r dist/raw
	$(BIN)/python scripts/check_wheels.py dist/*.whl

# ----------------------------------------------------------------------------------------------------------- sanitizers

# The extensions with every access and every undefined operation checked. Python itself is not built that way, so that
# the sanitizer's library goes in first, and leaks, which are Python's own, are not reported. What has not changed is not
# compiled again.
# $(call BUILD_SANITIZED,folder,sanitizers)
BUILD_SANITIZED = mkdir -p $(1)/lib && find $(1)/lib -name "*.py" -delete && CC="$${CC:-gcc}" LDFLAGS="-fsanitize=$(2)" \
    FASTNN_CFLAGS="-fsanitize=$(2) -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1" \
    $(BIN)/python setup.py --quiet build --build-temp $(1)/temp --build-lib $(1)/lib
# $(call SANITIZED,folder,libraries): Python with those extensions
SANITIZED = PYTHONSAFEPATH=1 PYTHONPATH=$(1)/lib PYTHONMALLOC=malloc \
    LD_PRELOAD="$(foreach library,$(2),$$($${CC:-gcc} -print-file-name=$(library).so))" $(BIN)/python
PYTEST = -m pytest -p no:cacheprovider --capture=sys
# $(call ASAN,MB of freed memory that are kept back). Where a size is refused NumPy raises, as it should.
ASAN = ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0:allocator_may_return_null=1:quarantine_size_mb=$(1) \
    UBSAN_OPTIONS=print_stacktrace=1 $(call SANITIZED,build/asan,libasan libubsan)

sanitized: $(STAMPS)/build $(STAMPS)/test
	$(call BUILD_SANITIZED,build/asan,address$(comma)undefined)

asan: sanitized ## C and Python tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) -C csrc asan
	$(call ASAN,256) $(PYTEST) $(ARGS)

FILES ?= 100000
SECONDS ?= 600
SEED ?= 0
fuzz: sanitized ## damaged model files, then random uses of the API, under the same sanitizers (FILES=100000 SECONDS=600 SEED=0)
	$(call ASAN,1) scripts/fuzz_files.py --seed $(SEED) $(FILES)
	$(call ASAN,16) scripts/fuzz_api.py --seed $(SEED) --seconds $(SECONDS)

MUTANTS ?=
mutants: $(STAMPS)/build $(STAMPS)/test ## make the code wrong in many small ways; which ways no test notices (MUTANTS="-k callbacks")
	$(BIN)/python scripts/mutants.py $(MUTANTS)

# ThreadSanitizer knows the pool's threads and those that the test starts; it does not look at what NumPy and Python do,
# whose BLAS stays on one thread.
tsan: $(STAMPS)/build $(STAMPS)/test ## the pool, what two callers run in it, products in stages, batches gathered ahead, under ThreadSanitizer
	$(MAKE) -C csrc tsan
	$(call BUILD_SANITIZED,build/tsan,thread)
	TSAN_OPTIONS="halt_on_error=1 $${TSAN_OPTIONS:-}" OPENBLAS_NUM_THREADS=1 $(call SANITIZED,build/tsan,libtsan) $(PYTEST) \
	    tests/test_two_callers.py tests/test_product.py tests/test_engine_bits.py -k "callers or stages or ahead"

# ------------------------------------------------------------------------------------------------------- other machines

CROSS = x86_64-windows-gnu aarch64-macos aarch64-linux-musl aarch64-linux-gnu x86_64-linux-musl
ZIG = $(abspath $(BIN))/python -m ziglang cc
CROSS_MAKE = $(MAKE) -C csrc CC="$(ZIG) -target $(1)" TARGET_ARCH=$(firstword $(subst -, ,$(1))) BUILD=build/$(1) \
    CFLAGS="-Werror -Wno-error=unused-command-line-argument $(2)" LDLIBS="$(if $(findstring windows,$(1)),,-lm)"
# Run with $(1) on a machine called $(2), the C tests that were compiled for $(3)
CROSS_RUN = if command -v $(firstword $(1)) > /dev/null; then echo "== tests as $(2)"; \
    $(call CROSS_MAKE,$(3)) test RUN="$(1)"; \
    else echo "== NOT RUN as $(2): $(firstword $(1)) is not installed (Debian: apt-get install qemu-user)"; fi

# Less what qemu does not have, which it says for every program
HASWELL = Haswell$(comma)-pcid$(comma)-x2apic$(comma)-tsc-deadline$(comma)-hle$(comma)-invpcid$(comma)-rtm

cross: $(STAMPS)/cross ## compile csrc for every platform; run its tests on emulated CPUs where qemu-user is installed
	@$(foreach target,$(CROSS),echo "== $(target)"; $(call CROSS_MAKE,$(target)) --no-print-directory --silent all;)
	@$(call CROSS_RUN,qemu-aarch64,an Arm CPU,aarch64-linux-musl)
	@$(call CROSS_RUN,qemu-x86_64 -cpu Nehalem,a CPU without AVX (Nehalem),x86_64-linux-musl)
	@$(call CROSS_RUN,qemu-x86_64 -cpu $(HASWELL),a CPU with AVX2 (Haswell),x86_64-linux-musl)
	@echo "== tests of the vectors in plain C, which other CPUs get"
	@$(MAKE) -C csrc TARGET_ARCH=other BUILD=build/portable test

clean: ## remove everything that was built, and .venv
	rm -rf build dist docs/_build csrc/build *.egg-info $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	rm -f fastnn/_core/*.so fastnn/_core/*.pyd fastnn/_core/*.html

.PHONY: help demo test check format bench docs wheel sanitized asan fuzz tsan mutants cross clean
