"""Names and places of files in a lab. Nothing here touches the disk.

lab/lab.json, engine.json, engine.log, nodes.jsonl, allocations.jsonl
lab/EXPERIMENT/experiment.yaml, journal.jsonl, state.parquet, results.parquet
lab/EXPERIMENT/environment/DIGEST.json
lab/EXPERIMENT/code/HASH/, code/HASH.json
lab/EXPERIMENT/plans/N.parquet, N.csv, N.yaml
lab/EXPERIMENT/tasks/THOUSAND/TASK/stdout, stderr, ...
lab/EXPERIMENT/stages/STAGE/RUN/stdout, stderr, ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

Stream = Literal["stdout", "stderr"]

LAB_FILE: Final = "lab.json"
ENGINE_FILE: Final = "engine.json"
SUBMIT_LOCK: Final = "submit.lock"
ENGINE_LOG: Final = "engine.log"
NODES_FILE: Final = "nodes.jsonl"
ALLOCATIONS_FILE: Final = "allocations.jsonl"
SPEC_FILE: Final = "experiment.yaml"
JOURNAL_FILE: Final = "journal.jsonl"
CHECKPOINT_FILE: Final = "state.parquet"
RESULTS_FILE: Final = "results.parquet"
PARSED_FILE: Final = "parsed.yaml"
METRICS_FILE: Final = "metrics.jsonl"
PARAMS_FILE: Final = "params.json"
COLLECTED_FILE: Final = "collected.tsv"
PLANS: Final = "plans"
ENVIRONMENT: Final = "environment"
TASKS: Final = "tasks"
STAGES: Final = "stages"
CODE: Final = "code"

TASKS_PER_FOLDER: Final = 1000


def task_folder(experiment_folder: Path, task_id: int, stage: str | None = None) -> Path:
    """The folder of one task, or of one run of a stage."""
    return experiment_folder / relative_folder(task_id, stage)


def relative_folder(task_id: int, stage: str | None) -> str:
    """The same within the experiment's folder, here and on nodes. Tasks lie in thousands because some file systems
    choke on a million folders."""
    if stage is not None:
        return f"{STAGES}/{stage}/{task_id}"
    return f"{TASKS}/{task_id // TASKS_PER_FOLDER}/{task_id}"


def attempt_file(name: str, attempt: int) -> str:
    """`name` for the first attempt, `name.N` for attempt N; nothing is ever renamed."""
    return name if attempt == 1 else f"{name}.{attempt}"


def stream_file(stream: Stream, step: str | None, attempt: int) -> str:
    """File of one output stream: `stdout`, `stdout.2`, or with a named step `train.stdout`, `train.stdout.2`."""
    return attempt_file(stream if step is None else f"{step}.{stream}", attempt)
