# What must hold before a change lands: `make`. CI (.ci/run) calls the same targets. CONTRIBUTING.md says how to set up.
# The tools are those of the active Python environment.

.PHONY: check test smoke services lint docs shots bench faults full lowest lowest-part
.DEFAULT_GOAL := check

check: lint test

# All tests, or the quick ones of one area (a folder of tests/), or all of it, or any arguments of pytest:
#   make test AREA=results/sql
#   make test AREA=engine ALL=1
#   make test TESTS='tests/results/sql/test_sql.py -k nan'
TESTS ?= $(if $(AREA),tests/$(AREA) $(if $(ALL),,-m "not slow"))

test:
	python -m pytest $(TESTS)

# One whole run over each transport.
smoke:
	python -m pytest -m smoke tests/engine

# What needs a service that the tests start, such as Slurm, Dask or Ray: one of each for all of its tests, which therefore share a worker.
services:
	python -m pytest -n 3 --dist loadgroup -m service tests/services tests/engine

lint:
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	vermin --quiet --target=3.6- --violations --no-tips tui_lab/engine/agent tui_lab/portable

# Write the generated pages of docs/ again, then check all pages.
docs:
	python docs/generate.py
	python -m pytest -n 0 tests/test_docs.py

# Make the pictures and the animation of screenshots/ from the real program. Needs tmux.
shots:
	python screenshots/make.py
	python screenshots/animate.py

# Measure; benchmarks/README.md has the figures to compare with. Needs a quiet machine.
bench:
	python benchmarks/start.py
	python benchmarks/nodes.py
	python benchmarks/scale.py
	python benchmarks/compile_once.py
	python benchmarks/parse.py
	python benchmarks/lab.py
	python benchmarks/screen.py
	python benchmarks/screen_start.py
	python benchmarks/screen_bursts.py

# Kill, freeze and disconnect engines, agents, nodes and clients, fill disks and cut journals, in the long mode of these
# tests. Their timing differs each time. `python -m pytest -m fault --collect-only` lists them.
ROUNDS ?= 5

faults:
	for round in $$(seq $(ROUNDS)); do python -m pytest --long -m fault || exit 1; done

# Everything, however long it takes: the long mode of all tests, the lowest versions, faults, simulations, benchmarks.
full: lint
	python -m pytest --long
	$(MAKE) lowest
	$(MAKE) faults
	python benchmarks/coverage.py --trials 200
	$(MAKE) bench

# Test with the lowest version of each dependency that pyproject.toml allows, in an environment of its own. uv finds these
# versions (`lowest-direct`: the lowest of each direct dependency, the newest of theirs). Only wheels are taken, but for
# this project itself: on a newer Python the lowest version is then the first that was built for it. Bytecode is compiled
# at the installation, as pip does: otherwise each process of the tests would compile it again.
LOWEST := .venv-lowest

$(LOWEST)/made: pyproject.toml
	python3 -m venv --clear $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct --compile-bytecode \
		--only-binary :all: --no-binary tui-lab -e '.[test]'
	touch $@

# All tests, or some: make lowest TESTS=tests/experiment
lowest: $(LOWEST)/made
	$(LOWEST)/bin/python -m pytest $(TESTS)

# The part that CI runs: the tests with most calls into the dependencies, and one end-to-end test of each other one.
lowest-part:
	$(MAKE) lowest TESTS='tests/experiment/test_yaml12.py tests/experiment/test_expression.py tests/store/test_planning.py \
		tests/results/sql/test_sql.py tests/results/export/test_export.py tests/results/test_tables_and_cache.py \
		tests/results/charts/test_drawn.py tests/results/statistics/test_statistics.py tests/engine/transports/test_ssh.py \
		tests/tui/app/test_app.py tests/tui/serving/test_serve.py tests/tui/widgets/test_table.py tests/tui/panes/query/test_pane.py tests/tui/panes/experiment/test_pane.py \
		tests/cli/test_explore.py::test_the_readme_of_patas tests/cli/test_stats.py::test_export_and_query \
		tests/cli/test_stats.py::test_ctrl_c_ends_a_query'
