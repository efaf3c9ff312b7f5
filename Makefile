# Everything a person does with the project. Each target sets up what is missing first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help lab demo report sweep sweep-plan test test-quick test-system bench export model-card clean-reports \
  clean-training

VENV ?= .venv
PYTHONS := python3.13 python3.12 python3.11 python3
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/installed
KERNELS := profiles/ipython/ipython_kernel_config.json
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet

# Names and paths reach the programs as typed: make's $(value …) expands no `$`, and the shell reads "$RUN" as one word.
override RUN := $(value RUN)
override DATA := $(value DATA)
override PROFILE := $(value PROFILE)
override KEEP := $(value KEEP)
override FORMAT := $(value FORMAT)
export RUN DATA PROFILE KEEP FORMAT

help:  ## list the targets
	@awk -F ':.*## +' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' Makefile

# No question about news at the first start, and encrypted kernels: each of the others prints a warning. The last setting
# lets the photo panel take files of more than 10 MB: without it, the connection breaks.
lab: $(INSTALLED)  ## open JupyterLab on the README, with its links to the notebooks
	$(PYTHON) -m jupyterlab --notebook-dir . --LabApp.default_url=/lab/tree/README.md \
	  --LabApp.app_settings_dir profiles/jupyterlab \
  --ServerApp.tornado_settings='{"websocket_max_message_size":536870912}' \
	  --KernelManager.transport_encryption=auto $(if $(filter 0,$(shell id -u)),--allow-root)

demo: $(INSTALLED)  ## open the photo panel of 06_prediction as a page of its own, served on this computer alone
	$(PYTHON) -m voila profiles/voila/photos.ipynb --Voila.config_file_paths=profiles/voila

report: $(INSTALLED)  ## run all notebooks and write their report: make report [RUN=name] [DATA=path]
	@$(PYTHON) -m ageclf report $${RUN:+--run="$$RUN"} $${DATA:+--data="$$DATA"}

sweep: $(INSTALLED)  ## run all configurations of a sweep and compare them: make sweep RUN=name [DATA=path] [PROFILE=folder] [KEEP=1]
	@$(PYTHON) -m ageclf sweep --run="$$RUN" $${DATA:+--data="$$DATA"} $${PROFILE:+--profile="$$PROFILE"} $${KEEP:+--keep-networks}

sweep-plan: $(INSTALLED)  ## list the configurations of a sweep, done or to do, with their times: make sweep-plan RUN=name [DATA=path]
	@$(PYTHON) -m ageclf sweep-plan --run="$$RUN" $${DATA:+--data="$$DATA"}

test: $(INSTALLED)  ## lint, unit tests, all notebooks on the sample, every cell twice
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	@rm -rf .pytest_cache/d/sample-*  # runs of the sample by earlier tests
	$(PYTHON) -m pytest tests --ignore tests/system --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-quick: $(INSTALLED)  ## a part of the tests, in minutes; on another Python: make test-quick VENV=folder PYTHONS=python3.12
	$(PYTHON) -m pytest tests/faces tests/metrics tests/display tests/network/test_model.py tests/network/test_prediction.py \
	  --numprocesses 2

test-system: $(INSTALLED)  ## pages and JupyterLab in a browser, a sweep through Slurm (needs Debian's chromium, npm, slurm-wlm, munge; root)
	NODE_OPTIONS=--use-openssl-ca npm ci --prefix tests/system  # with the certificates that this system trusts
	$(PYTHON) -m pytest tests/system

bench: $(INSTALLED)  ## speed and memory against plain baselines, into docs/benchmarks.md: make bench [DATA=path] (hours)
	@$(PYTHON) benchmarks/_collect.py docs/benchmarks.md $${DATA:+--data="$$DATA"}

export: $(INSTALLED)  ## write a network for other programs: make export RUN=name [FORMAT=savedmodel|onnx|openvino|litert]
	@$(PYTHON) -m ageclf export --run="$$RUN" $${FORMAT:+--format="$$FORMAT"}

model-card: $(INSTALLED)  ## write the numbers of docs/best/metrics.json into MODEL_CARD.md
	@$(PYTHON) docs/model_card.py

clean-training: $(INSTALLED)  ## start a training over: make clean-training RUN=name removes its state and checkpoint
	@$(PYTHON) -m ageclf clean-training --run="$$RUN"

clean-reports: $(INSTALLED)  ## remove what runs wrote under reports/, and nothing else
	@$(PYTHON) -m ageclf clean-reports

# The last thing that an installation writes is $(INSTALLED). Without it, an installation was interrupted: start anew.
# Kernels that papermill starts cannot be encrypted, and each would warn of that: they read that only errors are shown. And
# that their language is Python 3: JupyterLab marks a notebook as modified where the version is not the one it stores.
$(INSTALLED): requirements.lock pyproject.toml $(KERNELS)
	@test -e $@ || { for python in $(PYTHONS); do \
	  $$python -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && \
	  exec $$python -m venv --clear $(VENV); \
	done; echo 'Python 3.11, 3.12 or 3.13 with its venv module is needed (Debian: apt install python3-venv).' >&2; exit 1; }
	@rm -f $@
	@echo 'Installing what requirements.lock names into $(VENV) (minutes, the first time)'
	@$(PIP) install --use-pep517 --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@mkdir -p $(VENV)/etc/ipython && cp $(KERNELS) $(VENV)/etc/ipython
	@touch $@
