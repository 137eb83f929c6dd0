# Every command of the project. The first one that needs Python makes .venv (scripts/setup.sh); nothing is installed outside it,
# except the few system packages that scripts/setup.sh names.
SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=
export MUJOCO_GL ?= osmesa

.DEFAULT_GOAL := help
.PHONY: help setup tools run up down test manifests dashboards chaos lerobot lint format bench bench-gpu bench-replay proto doctor image clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## Create .venv from requirements.lock (every other command does it by itself)

.venv/.ready: requirements.lock pyproject.toml scripts/setup.sh
	scripts/setup.sh

tools: .venv/.ready ## Install what some tests need beside Python (helm, kubectl, ...) into .tools/bin
	set -e; for each in scripts/tools/*.sh; do $$each; done

run: .venv/.ready ## Teach the simulated arm; options: make run ARGS="--dir runs/mine seed=1"
	$(BIN)/ramp run $(ARGS)

up: .venv/.ready ## The same in the background, watched by Prometheus and Grafana where they are there
	$(BIN)/ramp up $(ARGS)

down: .venv/.ready ## Stop what `make up` has started; its data stay
	$(BIN)/ramp down $(ARGS)

test: lint ## Lint, types and all tests; ends with how many passed
	scripts/test.sh

manifests: .venv/.ready ## Regenerate deploy/k8s, the chart's schema and its table of values from helm/ramp
	$(BIN)/python -m scripts.chart

chaos: .venv/.ready ## Prove at full size that nothing stored is lost; goes on where it was; options: ARGS="power", ARGS="--minutes 20"
	$(BIN)/python -m tests.chaos $(ARGS)

lerobot: .venv/.ready ## Install LeRobot's own library into .tools/lerobot, and have it read what we export
	scripts/lerobot.sh
	$(BIN)/python -m pytest tests/unit/datasets/test_lerobot.py

lint: .venv/.ready ## Style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy ramp services benchmarks scripts proto/generate.py

format: .venv/.ready ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.ready ## Measure; writes benchmarks/results/ and BENCHMARKS.md; options: ARGS="--quick"
	$(BIN)/python -m benchmarks $(ARGS)

bench-gpu: .venv/.ready ## Measure the full-size models on one CUDA GPU; options: ARGS="policy", "world", "latency", "--small"
	$(BIN)/python -m benchmarks.gpu $(ARGS)

bench-replay: .venv/.ready ## Measure replay beside Reverb (installed into .bench/) and the machine's limits, and up to a million steps; options: ARGS="--quick"
	$(BIN)/python -m benchmarks replay_peers growth $(ARGS)

proto: .venv/.ready ## Regenerate the Python code of proto/
	$(BIN)/python proto/generate.py

dashboards: .venv/.ready ## Regenerate Grafana's dashboards and Prometheus' rules in helm/ramp
	$(BIN)/python -m services.dashboards helm/ramp

doctor: .venv/.ready ## Say what this machine lacks and which command installs it
	$(BIN)/ramp doctor $(ARGS)

image: ## Build the container image and its bill of materials; options: VARIANT=cuda BASE_IMAGE=... TAG=...; docs/image.md
	scripts/image.sh $(ARGS)

clean: ## Remove .venv and caches; runs/ stays
	rm -rf .venv .bench .image .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
