# The front door; each target makes the environment it needs.
.PHONY: demo demo-polyglot test conformance torture check image generate vectors bench bench-metrics bench-search bench-clients clean

demo: ## Shows the main job on real data, in under three minutes.
	.ci/setup demo
	.venv/bin/python clients/examples/python/demo.py

demo-polyglot: ## Trains in Python, R, Java, Scala and Spark against one server, and compares.
	.ci/setup demo
	.ci/setup jvm
	.ci/setup r
	.venv/bin/python clients/examples/polyglot.py

test: ## Passes every test; installs what is missing (as root, Debian packages too).
	.ci/setup dev
	.ci/setup generate
	.ci/setup versions
	.ci/setup jvm
	.ci/setup r
	.venv/bin/python -m pytest -n 3 --dist loadgroup

CLIENT =
conformance: ## Compares what the clients do, case by case, and writes the table; CLIENT=r for one language.
	.ci/setup dev
	.ci/setup jvm
	.ci/setup r
	.venv/bin/python -m pytest -n 2 --dist loadgroup tests/conformance --client "$(CLIENT)" $(if $(CLIENT),,--write-table)

torture: ## Passes the tests of faults in their long forms, and the long cases of all clients, for an hour.
	.ci/setup dev
	.ci/setup jvm
	.ci/setup r
	.venv/bin/python -m pytest -m "" -k "not short" -n 2 --dist load -v --durations=20 tests/faults
	.venv/bin/python -m pytest -m torture -n 2 --dist loadgroup -v --durations=20 tests/conformance

check: ## Lint, types, import law, generated code in step, buf lint.
	.ci/setup dev
	.ci/setup generate
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venvs/generate/bin/python protos/generate.py --check
	.venv/bin/buf lint protos
	.venv/bin/buf breaking protos --against protos/image.binpb

image: ## Takes the protos as they are for what later ones must not break; at releases only.
	.ci/setup dev
	.venv/bin/buf build protos --exclude-source-info -o protos/image.binpb

generate: ## Generates python_client/runwire/v1 from the protos.
	.ci/setup generate
	.venvs/generate/bin/python protos/generate.py

vectors: ## Writes the tables and spools that clients of every language are tested against.
	.ci/setup dev
	.venv/bin/python -m clients.vectors.make

bench: ## Prints figures beside peers and limits measured in the same run.
	.ci/setup dev
	.venv/bin/python -m tests.bench

bench-metrics: ## Prints what the metric engine does, beside peers and limits, as Markdown.
	.ci/setup dev
	.venv/bin/python -m tests.bench.bench_metrics

bench-search: ## Fills a million runs and prints what searches cost.
	.ci/setup dev
	.venv/bin/python -m tests.bench.bench_search

bench-clients: ## Prints what the clients of all languages do, beside peers, as Markdown.
	.ci/setup dev
	.ci/setup jvm
	.ci/setup r
	.venv/bin/python -m tests.bench.bench_clients

clean: ## Removes the environments.
	rm -rf .venv .venvs
