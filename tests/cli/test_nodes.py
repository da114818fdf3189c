"""`--node` and `run_on`: where tasks run."""

from __future__ import annotations

from tests.cli.bench import Bench

TAGGED = "command: echo {x}\nparameters: {x: [1, 2]}\nrun_on: [gpu, not slow]\n"


def test_tasks_run_where_the_tags_are(bench: Bench) -> None:
    bench.write("tagged.yaml", TAGGED)
    bench.run("tagged.yaml", "--node", "localhost", "2", "gpu", "fast")
    assert bench.table("SELECT count(*) AS n FROM tagged") == [{"n": 2}]


def test_no_node_with_the_tags_is_told_at_its_place(bench: Bench) -> None:
    bench.write("tagged.yaml", TAGGED)
    told = bench.run("tagged.yaml", code=2).err
    assert "tagged.yaml:3:9: no node has these tags: localhost has none; tags are given as in" in told
    told = bench.run("tagged.yaml", "--node", "localhost", "gpu", "slow", code=2).err
    assert "localhost has gpu, slow" in told
    bench.write("tagged.yaml", TAGGED.replace("not slow", "a tag"))
    assert "'tagged.yaml:3:15: \"a tag\" is no tag'" in repr(bench.run("tagged.yaml", code=2).err.split(";")[0])


def test_slots_and_hosts_that_can_not_be_meant(bench: Bench) -> None:
    bench.write("x.yaml", "command: echo 1\n")
    assert "only localhost works so far" in bench.run("x.yaml", "--node", "tower", code=2).err
    assert "one slot at least" in bench.run("x.yaml", "--node", "localhost", "0", code=2).err
    assert "given twice" in bench.run("x.yaml", "--node", "localhost", "1", "--node", "localhost", "2", code=2).err
