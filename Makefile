# The front door; each target makes the environment it needs.
.PHONY: demo test torture check generate bench bench-metrics bench-search clean

demo: ## Shows the main job on real data, in under three minutes.
	.ci/setup demo
	.venv/bin/python clients/examples/python/demo.py

test: ## Passes every test; installs what is missing (as root, Debian packages too).
	.ci/setup dev
	.ci/setup generate
	.ci/setup versions
	.venv/bin/python -m pytest -n 3 --dist loadgroup

torture: ## Passes the tests of faults in their long forms, for an hour.
	.ci/setup dev
	.venv/bin/python -m pytest -m "" -k "not short" -n 2 --dist load -v --durations=20 tests/faults

check: ## Lint, types, import law, generated code in step, buf lint.
	.ci/setup dev
	.ci/setup generate
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venvs/generate/bin/python protos/generate.py --check
	.venv/bin/buf lint protos

generate: ## Generates python_client/runwire/v1 from the protos.
	.ci/setup generate
	.venvs/generate/bin/python protos/generate.py

bench: ## Prints figures beside peers and limits measured in the same run.
	.ci/setup dev
	.venv/bin/python -m tests.bench

bench-metrics: ## Prints what the metric engine does, beside peers and limits, as Markdown.
	.ci/setup dev
	.venv/bin/python -m tests.bench.bench_metrics

bench-search: ## Fills a million runs and prints what searches cost.
	.ci/setup dev
	.venv/bin/python -m tests.bench.bench_search

clean: ## Removes the environments.
	rm -rf .venv .venvs
