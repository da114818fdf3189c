"""What plans of other tools mean, as stages: steps that depend on steps, and a model that is learnt once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.workbench import Workbench

# As with JUBE: two sets of parameters, a step that depends on another, and reads what it has printed.
STEPS = """\
stages:
  first: {command: 'echo "first {number}" | tee -a $TRUTH', uses: [number]}
  second:
    command: 'echo "second {number} {text}" >> $TRUTH; cat {first.output}/stdout; echo "{text} $TUI_LAB_STAGE"'
parameters: {number: [1, 2, 4], text: [hello, world]}
"""

# As with experimaestro: a task that has another one as its parameter. Two evaluations share a model, and each model
# its documents; seeds begin with the model.
LEARN = """\
stages:
  documents: {command: 'echo "documents {corpus}" >> $TRUTH; seq {corpus} > {output}/documents'}
  learn:
    command: |
      echo "learn {corpus} {epochs} {seed}" >> $TRUTH
      awk -v epochs={epochs} '{ sum += $1 } END { print epochs * sum }' {documents.output}/documents > {output}/model
    needs: {cpus: 1}
  evaluate: {command: 'echo "metric {measure}: $(cat {learn.output}/model)"'}
parameters: {corpus: [10, 20], epochs: [1, 3], measure: [mrr, ndcg]}
repeat: 2
metrics: {score: 'metric \\w+: (@int@)'}
"""


@pytest.mark.slow
def test_steps_that_depend_on_steps(workbench: Workbench) -> None:
    workbench.run_text(STEPS)
    ran = Counter(line.split()[0] for line in workbench.lines())
    assert ran == {"first": 3, "second": 6}
    folder = workbench.experiment().path / "stages" / "first"
    assert len(list(folder.iterdir())) == 3
    assert sorted(workbench.output(task).splitlines()[0] for task in range(6)) == sorted(
        f"first {number}" for number in (1, 2, 4) for _ in "ab"
    )


@pytest.mark.slow
def test_a_model_is_learnt_once_for_all_that_evaluate_it(workbench: Workbench) -> None:
    workbench.run_text(LEARN)
    ran = Counter(line.split()[0] for line in workbench.lines())
    assert ran == {"documents": 2, "learn": 8}
    rows = workbench.table("SELECT corpus, epochs, score FROM e")
    assert len(rows) == 16
    assert all(row["score"] == row["epochs"] * row["corpus"] * (row["corpus"] + 1) // 2 for row in rows)
    # A new parameter with a value for all so far changes what uses it, and no more.
    more = LEARN.replace("metric {measure}:", "metric {measure}{depth}:").replace("corpus: [", "depth: 10, corpus: [")
    workbench.run_text(more)
    assert Counter(line.split()[0] for line in workbench.lines()) == ran
