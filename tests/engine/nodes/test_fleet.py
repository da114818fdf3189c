"""The fleet itself: nodes answer, see what they should, and can be taken away."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.nodes.fleet import Fleet, Node
from tests.engine.nodes.openssh import needs
from tests.workbench import until

pytestmark = needs("ssh")


def ssh(fleet: Fleet, node: Node, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["ssh", "-F", str(fleet.home / ".ssh" / "config"), "-o", "BatchMode=yes", *options, node.name, command]
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)


def test_a_node_has_its_own_home_and_sees_the_folder(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    node = fleet.node("tower", tags=["gpu"])
    found = ssh(fleet, node, f"echo $HOME; ls {tmp_path}")
    assert found.stdout.split() == [str(node.machine.home), "here"], found.stderr
    assert node.words == ["--node", "tower", "2", "gpu"]
    assert fleet.cluster_file().read_text().startswith("name: fleet\nnodes:\n- name: tower\n")


def test_a_private_node_does_not_see_the_folder(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    node = fleet.node("attic", shared=False)
    assert ssh(fleet, node, f"ls {tmp_path}").stdout == ""
    assert ssh(fleet, node, "touch /tmp/there; echo $HOME; ls -d $HOME").stdout.split() == [str(node.machine.home)] * 2
    assert (node.machine.tmp / "there").exists()


@pytest.mark.parametrize("options", [{"droppable": True}, {"droppable": True, "latency": 0.01}])
def test_a_node_falls_silent_and_comes_back(fleet: Fleet, options: dict[str, object]) -> None:
    node = fleet.node("far", **options)  # type: ignore[arg-type]
    assert ssh(fleet, node, "echo 1").stdout == "1\n"
    fleet.drop("far")
    assert ssh(fleet, node, "echo 1", "-o", "ConnectTimeout=1").returncode == 255
    fleet.restore("far")
    until(lambda: ssh(fleet, node, "echo 1").stdout == "1\n")


def test_sessions_are_killed_and_nodes_stopped(fleet: Fleet) -> None:
    node = fleet.node("tower")
    words = ["ssh", "-F", str(fleet.home / ".ssh" / "config"), "tower", "echo up; sleep 100"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        fleet.kill_sessions("tower")
        assert process.wait(20) == 255
    assert ssh(fleet, node, "echo 1").stdout == "1\n"
    fleet.stop("tower")
    assert "refused" in ssh(fleet, node, "echo 1").stderr
    fleet.start("tower")
    assert ssh(fleet, node, "(sleep 100 >/dev/null 2>&1 &)").returncode == 0
    assert node.machine.processes()
    fleet.power_off("tower")
    assert node.machine.processes() == []


def test_one_node_is_reached_through_another(fleet: Fleet) -> None:
    fleet.node("gate")
    inner = fleet.node("inner", via="gate")
    assert ssh(fleet, inner, "echo $HOME").stdout == f"{inner.machine.home}\n"
    assert inner.entry["host"] == "inner" and "port" not in inner.entry
    assert os.path.exists(inner.entry["key"])  # noqa: PTH110
