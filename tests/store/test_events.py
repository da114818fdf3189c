"""Events: as they stand in journals, and those of other versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.store import journal, repair
from tui_lab.store.events import KINDS, Finished, Started, Unknown, decode, encode
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE

# An event of each kind as version 0.1 has written it, some with everything that they can say.
WRITTEN = r"""
{"event":"journal","format":2,"id":"0123456789abcdef"}
{"event":"submitted","id":"a1","at":1.5,"experiment":"grid","plan":1,"plan_crc":"0badcafe","keys":"ab12","planned":[[0,2]],"queued":[[0,1]],"spare":[[2,2]],"reasons":{"command changed":1},"adopted":[],"argv":["tui-lab","--run","x.yaml"],"cwd":"/home/ana","user":"ana","host":"tower","nodes":[{"name":"tower","slots":2,"tags":[]},{"name":"far","host":"192.0.2.9","slots":0,"ahead":{"seconds":60.0}}],"scripts":{"main.py":"ff00"},"code":"c0de","files":{"main.py":[120,1700000000000000000]},"keep_going":false,"environment":"e0e0","joins":true,"stages":{"prepare":[[3,3]]},"per_node":["prepare"]}
{"event":"submitted","id":"a2","at":2.5,"experiment":"grid","plan":1,"planned":[],"queued":[],"reasons":{},"adopted":[],"argv":[],"cwd":"","user":"","host":"","nodes":[],"scripts":{},"keep_going":true}
{"event":"node_runs","at":1.5,"node":"tower","runs":[[3,4]]}
{"event":"node_runs","at":1.5,"node":"tower","runs":[[3,4]],"needed":false}
{"event":"plan","at":1.5,"plan":1,"plan_crc":"00000000"}
{"event":"requeued","at":1.5,"queued":[[0,0],[2,2]],"changes":{"timeout":60.0,"needs":{"memory":16}}}
{"event":"requeued","at":1.5,"queued":[[0,0]],"changes":{"timeout":null}}
{"event":"extended","at":1.5,"queued":[[3,4]],"note":"it can't become true"}
{"event":"extended","at":1.5,"queued":[[3,4]]}
{"event":"nodes","at":1.5,"nodes":[{"name":"tower","slots":4}],"drained":["far"],"released":["tower"]}
{"event":"quarantined","at":1.5,"node":"far","tasks":[[0,5]]}
{"event":"environment","at":1.5,"node":"far","digest":"d1"}
{"event":"node","at":1.5,"node":"far","spool":"s1"}
{"event":"assigned","at":1.5,"node":"tower","attempts":[[0,1],[1,1]]}
{"event":"returned","at":1.5,"attempts":[[1,1]]}
{"event":"started","at":1.5,"task":0,"attempt":1}
{"event":"requeued","at":1.5,"queued":[[0,0]],"changes":{},"step":1}
{"event":"assigned","at":1.5,"node":"tower","attempts":[[0,2],[1,1]],"go_on":[[0,1]]}
{"event":"started","at":1.5,"task":0,"attempt":2,"first_step":1}
{"event":"step","at":1.5,"task":0,"attempt":2,"step":1,"exit_code":0,"duration":0.5,"end":{"attempt":2,"sizes":[9,0,3],"cpu_time":0.25,"peak_rss":20000000}}
{"event":"finished","at":2.5,"task":0,"attempt":2,"state":"failed","reason":"exit","exit_code":3,"step":2,"steps":[[0,0.5],[0,1.25],[3,0.5]],"first_step":1,"step_ends":[{"attempt":1,"sizes":[9,0,0]},{"attempt":2,"sizes":[0,0,0]},{"attempt":2,"sizes":[0,7,0],"cpu_time":0.25}]}
{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"done","exit_code":0,"step":1,"steps":[[0,0.5],[0,1.25]],"duration":1.75,"cpu_time":0.5,"peak_rss":20000000,"leftover":1}
{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"failed","reason":"signal","exit_code":137,"signal":9,"step":0,"duration":1.75,"cpu_time":0.5,"message":"why","left":[{"name":"big.pt","size":9000},{"name":"bad","size":0,"error":"it can't be read"}],"left_more":{"files":3,"size":400},"note":"its folder is a link","again":1.0}
{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"failed","reason":"exception","raised":{"type":"ValueError","message":"bad","at":"a.py:3 in f"}}
{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"done","late":true}
{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"lost","reason":"node-lost","duplicate":true}
{"event":"stopping","at":1.5,"attempts":[[0,1]],"reason":"stopped"}
{"event":"stopping","at":1.5,"attempts":[[0,1]],"reason":null}
{"event":"stopped","at":1.5,"tasks":[[7,9]]}
{"event":"dependency_failed","at":1.5,"tasks":[[7,9]]}
{"event":"dependency_revived","at":1.5,"tasks":[[7,9]]}
{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"done","waits":true}
{"event":"dependency_done","at":1.5,"tasks":[[7,9]]}
{"event":"paused","at":1.5,"reason":"no_node","failed":0,"message":"no node can be reached"}
{"event":"paused","at":1.5,"reason":"asked","failed":2}
{"event":"resumed","at":1.5}
{"event":"prioritized","at":1.5,"priority":-2}
{"event":"drained","at":1.5}
{"event":"cleaned","at":1.5,"tasks":[[0,0]],"argv":["tui-lab","clean"]}
{"event":"discarded","at":1.5,"runs":[[4,5]]}
{"event":"removed","at":1.5,"tasks":[[0,0]],"argv":["tui-lab","clean"]}
{"event":"ended","at":1.5,"counts":{"pending":0,"running":0,"done":3,"failed":0,"stopped":0,"lost":0}}
"""  # noqa: E501
LINES = [line.encode() for line in WRITTEN.strip().splitlines()]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:24].decode())
def test_what_was_written_is_read_and_would_be_written_alike(line: bytes) -> None:
    import orjson

    event = decode(line)
    assert not isinstance(event, Unknown)
    assert event.kind == orjson.loads(line)["event"]
    assert orjson.loads(encode(event)) == orjson.loads(line)
    assert line.startswith(b'{"event":"'), "readers tell the kind by how a line begins"
    assert encode(event).startswith(b'{"event":"%s"' % event.kind.encode())


def test_every_kind_is_among_them() -> None:
    assert {type(decode(line)) for line in LINES} == set(KINDS)


def test_members_of_a_newer_version_are_passed_over() -> None:
    line = b'{"event":"started","at":1.5,"task":0,"attempt":1,"gpu":{"index":3}}'
    assert decode(line) == Started(1.5, 0, 1)
    assert decode(b'{"event":"teleported","at":1.5,"task":0}') == Unknown("teleported")


def test_names_whose_bytes_are_no_utf8_are_written_so_that_they_can_be_read() -> None:
    event = Finished(1.5, 0, 1, "failed", reason="start", message="caf\udce9")
    assert decode(encode(event)) == Finished(
        1.5, 0, 1, "failed", reason="start", message="caf\N{REPLACEMENT CHARACTER}"
    )


def test_a_journal_that_is_written_anew_keeps_what_a_newer_version_said(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "grid")
    record = journal.Journal(folder.journal)
    newer = [
        b'{"event":"assigned","at":1.5,"node":"tower","attempts":[[0,1]],"rank":[4]}',
        b'{"event":"teleported","at":1.5,"task":0}',
        b'{"event":"finished","at":2.5,"task":0,"attempt":1,"state":"done","energy":{"joule":3}}',
    ]
    record.append_lines([LINES[1], *newer, b'{"event":"drained","at":3.5}'])
    record.close()
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:-1]) + b'{"event"\n')
    assert repair.repair(folder)
    after = [journal.without_sum(line) for line in folder.journal.read_bytes().splitlines()]
    assert after == [journal.without_sum(line.rstrip(b"\n")) for line in lines[:-1]]
    assert folder.state().columns["state"][0] == DONE
