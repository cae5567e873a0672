# Every command a person needs; `make` lists them. Linux and macOS, GNU make, Python >= 3.11.
# All that is written stays in this folder, except pip's download cache.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The interpreters tried, in this order: 3.11 first, because requirements.lock was made with it.
# One of your own: make setup PYTHON=/path/to/python
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)

UI_PORT ?= 5000

# Of `make up`.
WORKLOAD ?= triage
PROFILE ?= nano
PREFECT_PORT ?= 4200
MLFLOW_PORT ?= 5000
SERVE_PORT ?= 8000
PORTS = --prefect-port $(PREFECT_PORT) --mlflow-port $(MLFLOW_PORT) --serve-port $(SERVE_PORT)

# Stage commands start `python`: let it be the one of the virtual environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Offline unless you say otherwise; HF_HUB_OFFLINE=0 lets a larger profile download its model.
export HF_HUB_OFFLINE ?= 1
export TRL_EXPERIMENTAL_SILENCE := 1
# No tool reports home.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# State that these tools would otherwise keep in the home folder or under /var/tmp.
export PREFECT_HOME ?= $(CURDIR)/state/prefect
export DVC_SITE_CACHE_DIR ?= $(CURDIR)/.dvc/tmp/site
export PRE_COMMIT_HOME ?= $(CURDIR)/$(VENV)/pre-commit

.DEFAULT_GOAL := help
.PHONY: $(shell awk -F: '/^[a-z-]+:.*\#\# / {print $$1}' $(firstword $(MAKEFILE_LIST)))

help: ## List these targets
	@echo "Gradus: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## Create .venv from requirements.lock and install Gradus into it (at once when nothing changed)

# The stamp is touched last, so that an interrupted installation goes on at the next call.
$(INSTALLED): requirements.lock requirements-cuda.lock pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  for python in $(PYTHONS); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	      echo "Creating $(VENV) with $$python"; exec "$$python" -m venv $(VENV); \
	    fi; \
	  done; \
	  echo "make setup: expected Python 3.11 or newer with its venv module, found none among: $(PYTHONS)." >&2; \
	  echo "Install one (on Debian: apt install python3 python3-venv) or name it: make setup PYTHON=/path/to/python" >&2; \
	  exit 1; }
	$(BIN)/python infra/install.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: setup ## Make requirements.lock anew from pyproject.toml, with hashes (ARGS=--upgrade for newer versions)
	$(BIN)/python infra/lock.py $(ARGS)

locks: lock ## Make all locks anew, also that of the GPU's environment, requirements-gpu.lock
	$(BIN)/python -m infra.lock_gpu $(ARGS)

sbom: setup ## Write what is installed as a CycloneDX bill of materials, sbom.json
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-file sbom.json $(BIN)/python

demo: setup ## Climb the ladder on the embedded workload triage: prompts, SFT, RL, gate, report
	$(BIN)/gradus run triage --profile nano --quick
	$(BIN)/gradus run triage --profile nano

test: setup ## Run the tests that need no GPU, service or patience (make test ARGS="-m slow tests/flows")
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile $(ARGS)

lint: setup ## Check style, formatting and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

type: setup ## Check types: strict in components/, standard elsewhere
	$(BIN)/basedpyright

format: setup ## Rewrite the code in the house format and fix what can be fixed safely
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

nano: setup ## Pretrain the nano base model, or confirm that it is up to date
	$(BIN)/dvc repro --single-item pretrain

nano-eval: setup ## Measure the nano base model on worlds it has never seen, and write its card
	$(BIN)/dvc repro --single-item examine

bench: bench-engine bench-training bench-ladder bench-serve bench-traces bench-chaos bench-watch bench-scorers bench-verdicts bench-advice bench-trust bench-masking bench-base ## Thirteen benchmarks (three to nine hours on two cores); make bench-NAME runs the others

bench-ladder: setup ## Three climbs with three seeds: accuracy, cost, time, overhead, memory (ARGS="--seeds 4 5")
	$(BIN)/python -m benchmarks.ladder --run triage-nano-continuum --out benchmarks/ladder-triage-nano.json $(ARGS)

bench-engine: setup ## Output tokens a second against generate and pipeline
	$(BIN)/python -m benchmarks.engine_speed $(ARGS)

bench-training: setup ## SFT and GRPO against bare TRL scripts
	$(BIN)/python -m benchmarks.training_speed $(ARGS)

bench-rollouts: setup ## An agent's tries a second against TRL's own loop for tools (minutes; ARGS="--tries 64")
	$(BIN)/python -m benchmarks.rollouts $(ARGS)

bench-traces: setup ## Requests against a server that is killed again and again: is every answer in the lake, once?
	$(BIN)/python -m benchmarks.traces $(ARGS)

bench-chaos: setup ## Faults and kills at random moments: is every acknowledged trace in the lake, once? (ARGS="--faults 100")
	$(BIN)/python -m benchmarks.chaos $(ARGS)

bench-serve: setup ## Requests a second and waiting times against transformers serve (ARGS="--model FOLDER")
	$(BIN)/python -m benchmarks.serving $(ARGS)

bench-peers: setup ## gradus serve by transformers and llama.cpp beside llama.cpp's and vLLM's servers (ten minutes)
	$(BIN)/python -m benchmarks.serving_peers $(ARGS)

bench-pressure: setup ## A started server under 1,000 silent connections and ten times its load: who is still answered?
	$(BIN)/python -m benchmarks.pressure $(ARGS)

bench-soak: setup ## A started server for an hour at half its capacity: are memory and descriptors flat? (ARGS="--minutes 10")
	$(BIN)/python -m benchmarks.soak $(ARGS)

bench-chaos-flows: setup ## Faults and kills in whole commands: do they end in the same result? (an hour)
	$(BIN)/python -m benchmarks.chaos_flows $(ARGS)

bench-guards: setup ## Each guard taken out, one by one: does its test notice? (ten minutes)
	$(BIN)/python -m benchmarks.guards $(ARGS)

bench-fuzz: setup ## 20,000 random requests, 200,000 random inputs and damaged files (ARGS="--requests 500 --inputs 5000")
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

bench-watch: setup ## False alarms and delays of the watch on streams of simulated tickets; a million rows (after make demo)
	$(BIN)/python -m benchmarks.watch $(ARGS)

bench-desk-drifts: setup ## Does the watch see the drifts of desk, and is it quiet without one? Simulated conversations (minutes)
	$(BIN)/python -m benchmarks.desk_drifts $(ARGS)

bench-scorers: setup ## Answers a second of the schema, SQL and unit tests in the sandbox
	$(BIN)/python -m benchmarks.scorers $(ARGS)

bench-verdicts: setup ## The gate's verdicts on simulated challengers of known quality; coverage of intervals (minutes, one core)
	$(BIN)/python -m benchmarks.verdicts $(ARGS)

bench-guarantees: setup ## Where the gate's promises hold: groups, adaptive challengers, undecided answers (a quarter of an hour, one core)
	$(BIN)/python -m benchmarks.guarantees $(ARGS)

bench-advice: setup ## Is the advice right? Simulated workloads whose best next rung is known (two minutes)
	$(BIN)/python -m benchmarks.advice $(ARGS)

bench-methods: setup ## Methods against each other, rows that are missing (hours; ARGS="--workloads triage --methods few_shot --seeds 1")
	$(BIN)/python -m benchmarks.methods $(ARGS)

bench-off-policy: setup ## Do intervals of off-policy evaluation hold the truth? Simulated logs (a minute)
	$(BIN)/python -m benchmarks.off_policy $(ARGS)

bench-foretold: setup ## What --dry-run foretells of two first looks beside what they take (half an hour)
	$(BIN)/python -m benchmarks.foretold $(ARGS)

bench-trust: setup ## Certificates' coverage, ten hacked and ten honest trainings, the label audit (after make demo)
	$(BIN)/python -m benchmarks.trust $(ARGS)

bench-guarantees-intervals: setup ## Which intervals hold the truth in groups: candidates beside each other (a minute or two)
	$(BIN)/python -m benchmarks.guarantees_intervals $(ARGS)

bench-guarantees-watch: setup ## Promises of watch, canary, hacking watch and harvest in worlds with groups, weeks, few labels
	$(BIN)/python -m benchmarks.guarantees_watch $(ARGS)

bench-inputs: setup ## Nine kinds of sources from init up the ladder `quick`, 100,000 rows, reported files (ARGS="--data FOLDER")
	$(BIN)/python -m benchmarks.inputs $(ARGS)

bench-rows: setup ## CPU time and memory of data, audit and classical on 100,000 rows (ARGS="--count 20000")
	$(BIN)/python -m benchmarks.inputs --rows $(ARGS)

results: setup ## docs/results.md from benchmarks/real.json: real data beside published figures
	$(BIN)/python -m benchmarks.results

bench-masking: setup ## What masking finds and what it takes for personal wrongly, on texts of 15 countries
	$(BIN)/python -m benchmarks.masking $(ARGS)

bench-scale: setup ## Servers and cost for 10^6 to 10^10 calls a day: queues simulated with measured service
	$(BIN)/python -m benchmarks.scale $(ARGS)

bench-scale-training: setup ## One training by one process and by two, DDP and FSDP2 over gloo: is it the same? (minutes)
	$(BIN)/python -m benchmarks.scale_training

bench-scale-lake: setup ## Ten million traces read in one process and on Ray with one and two cores (minutes; wants gradus[ray])
	$(BIN)/python -m benchmarks.scale_lake $(ARGS)

bench-scale-gateway: setup ## vLLM's server asked directly and through `gradus serve` (minutes; wants vLLM in an environment of its own)
	$(BIN)/python -m benchmarks.scale_gateway $(ARGS)

bench-scale-climb: setup ## A whole short climb on a recording cluster with S3 and PostgreSQL against one here (minutes)
	$(BIN)/python -m benchmarks.scale_climb $(ARGS)

bench-mutants: setup ## Do the tests of what guards something notice a changed line? (an hour; ARGS="--most 60")
	$(BIN)/python -m benchmarks.mutants $(ARGS)

bench-base: setup ## The rung of prompts for base models: right, valid, fields and tokens (ARGS="--models FOLDER FOLDER")
	$(BIN)/python -m benchmarks.base_prompts $(ARGS)

bench-nano-trials: setup ## Compare variants of the base model in short trainings (about 20 minutes on two cores)
	$(BIN)/python -m benchmarks.nano_trials $(ARGS)

ui: setup ## Open the record of runs, models and traces in MLflow (UI_PORT=5000)
	$(BIN)/gradus ui --port $(UI_PORT)

up: setup ## Start Prefect, its worker, MLflow and the champion in the background (WORKLOAD=triage PREFECT_PORT=4200 …)
	@$(BIN)/gradus up $(WORKLOAD) --profile $(PROFILE) $(PORTS)

down: setup ## Stop all of them; nothing is left behind
	@$(BIN)/gradus down

demo-drift: setup ## Play the whole loop: traffic, drift, event, retraining, gate, new champion (half an hour and more)
	$(BIN)/gradus demo-drift $(WORKLOAD) --profile $(PROFILE) $(PORTS) $(ARGS)

status: setup ## Say how each of them is
	@$(BIN)/gradus status

logs: ## Follow their logs (state/logs/)
	@tail -n 20 -F state/logs/*.log

clean: ## Remove caches; keeps .venv, state/, artifacts/ and models/
	rm -rf .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find components flows monitoring tests -type d -name __pycache__ -prune -exec rm -rf {} +
