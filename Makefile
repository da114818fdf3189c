# What must hold before a change lands: `make`. CI runs these, too, from .ci/run; README.md says how to install.
# The tools are those of the Python environment that is active.

.PHONY: check test lint lowest lowest-part
.DEFAULT_GOAL := check

check: lint test

test:
	python -m pytest $(TESTS)

lint:
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	vermin --quiet --target=3.6- --violations --no-tips tui_lab/engine/agent tui_lab/portable

# The lower bounds in pyproject.toml are proven here: the tests run with the lowest version of each dependency, in an
# environment of their own. uv finds these versions: `lowest-direct` takes the lowest that the bounds allow of all that
# pyproject.toml names, and the newest of what these bring along. Only wheels count (but for this project itself): on a
# newer Python the lowest versions are the first that were built for it. They are compiled here, as pip does it: else
# each process of the tests would do so anew where Python may not keep what it compiled.
LOWEST := .venv-lowest

$(LOWEST)/made: pyproject.toml
	python3 -m venv --clear $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct --compile-bytecode \
		--only-binary :all: --no-binary tui-lab -e '.[test]'
	touch $@

# All tests, or what is asked for: make lowest TESTS=tests/experiment
lowest: $(LOWEST)/made
	$(LOWEST)/bin/python -m pytest $(TESTS)

# What CI has the time for: where most of the calls into the dependencies are, and of each other one a test that goes
# all the way through it.
lowest-part:
	$(MAKE) lowest TESTS='tests/experiment/test_yaml12.py tests/experiment/test_expression.py tests/store/test_planning.py \
		tests/results/test_sql.py tests/results/test_export.py tests/results/test_tables_and_cache.py \
		tests/results/test_charts_drawn.py tests/results/test_statistics.py tests/nodes/test_ssh.py \
		tests/tui/test_shell.py tests/tui/test_table.py tests/tui/test_query_pane.py tests/tui/test_experiment_pane.py \
		tests/cli/test_explore.py::test_the_readme_of_patas tests/cli/test_stats.py::test_export_and_query \
		tests/cli/test_stats.py::test_ctrl_c_ends_a_query'
