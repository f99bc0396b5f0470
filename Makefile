# The two commands that matter: `make up` and `make test`. Each is enough by itself on a machine with git and make.
# Everything here may be run again at any time; what is done already is not done twice.

SHELL := /bin/bash
.DEFAULT_GOAL := build

# Variables, from the command line or the environment; make hands them on:
#   make up      ENGINE=existing  DEMO=yes|no  STACK=monitor  MONITOR_PORT=8080  PROMETHEUS_PORT=9090
#   make up      SITES=examples/sites.yml  DATA=data  BIND=127.0.0.1  ALERTMANAGER_PORT=9093  BLACKBOX_PORT=9115      without any orchestrator
#   make test    PROMETHEUS=  PROMTOOL=      programs to test with instead of Debian's

.PHONY: help deps build test up demo down image bench fuzz soak docs format clean

help: ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/make \1\t\2/p' Makefile | expand -t 16

deps: ## install the Debian packages that the build needs and that are missing
	@scripts/deps.sh build

build: deps ## build/watchbill
	@scripts/build.sh

up: build ## Watchbill and Prometheus on this host's Docker Swarm, ENGINE=existing installs and makes neither; with SITES=FILE website monitoring without one
	@if [ -n "$(SITES)" ]; then scripts/sites.sh up; else scripts/up.sh; fi

demo: build ## something to look at: a node-exporter with labels and alerts
	@scripts/demo.sh

down: ## take away what `make up` and `make demo` made, and nothing else
	@scripts/down.sh

image: build ## the image watchbill:dev, without a registry
	@scripts/image.sh

test: ## everything: unit, golden, real Prometheus, real Swarm
	@scripts/deps.sh build test engine
	@tests/run.sh

bench: build ## the numbers of docs/performance.md
	@scripts/deps.sh test engine
	@python3 tests/bench/run.py --peer

fuzz: ## the parsers against random input, for a short fixed time
	@scripts/deps.sh build test
	@tests/fuzz/run.sh

soak: build ## half an hour of random changes on a fake Engine: SOAK_MINUTES=30
	@scripts/deps.sh test
	@python3 tests/soak/run.py

docs: build ## docs/labels.md, docs/shortcuts.md, docs/settings.md and the manual page, from the tables
	@scripts/docs.sh

format: ## the C sources by .clang-format; a test says which are not
	@scripts/format.sh

# What `make down` has to know outlives a clean-up.
clean: ## remove what was built
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name up.state -exec rm -rf {} +; rmdir --ignore-fail-on-non-empty build; fi
