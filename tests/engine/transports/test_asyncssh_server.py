"""asyncssh's own server as a node, which stands in for sshd where that is missing: it is tried everywhere."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import pytest

from tests.engine.nodes.echo import LAB, says, transport
from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.openssh import NEEDS
from tests.engine.nodes.test_runs import effects, leftovers, remove_truth, write
from tests.workbench import Workbench, until

__all__ = ["remove_truth"]


@pytest.mark.slow
@pytest.mark.fault
def test_a_sweep_through_it(workbench: Workbench, fleet: Fleet) -> None:
    """Its connections are cut, and it is stopped and started again: each task runs once."""
    text = """\
        name: e
        command: |
          echo x >> TRUTH_FOLDER/{task_id}; sleep 0.1; echo value {task_id}; printf '\\377\\000' >&2; exit {code}
        parameters: {code: [0, 3]}
        repeat: 15
        """
    fleet.node("gate", server="asyncssh")
    tower = fleet.node("tower", slots=3, via="gate", server="asyncssh")
    words = [*tower.words, "--keep-going"]
    run = workbench.start("--run", write(workbench, text), *words, env=fleet.environment(workbench))
    until(lambda: len(workbench.events("finished")) >= 4, 60)
    fleet.kill_sessions("tower")
    until(lambda: len(workbench.events("finished")) >= 12, 60)
    fleet.stop("gate")
    fleet.start("gate")
    assert run.wait(60) == 1
    assert effects(workbench) == dict.fromkeys(range(30), 1)
    assert Counter((task["state"], task["exit_code"]) for task in workbench.tasks()) == {
        ("done", 0): 15,
        ("failed", 3): 15,
    }
    folder = workbench.experiment().task_folder(7)
    assert (folder / "stdout").read_bytes() == b"value 7\n"
    assert (folder / "stderr").read_bytes() == b"\xff\x00"
    until(lambda: not leftovers(fleet))


async def test_channels_of_it(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower", server="asyncssh", max_sessions=1)
    async with transport(fleet, node.entry) as way:
        control, files = await way.open(), await way.open_files()
        assert node.machine.sessions() == 2
        for channel, mode in ((control, "relay"), (files, "files")):
            assert await channel.reader.readline() == f"{LAB}-tower {mode}\n".encode()
            assert await says(channel, "x" * 300_000) == "x" * 300_000
        await control.close()
        await asyncio.to_thread(fleet.kill_sessions, "tower")
        with pytest.raises(OSError, match="the SSH connection is gone"):
            await files.reader.read(1)
        await files.close()


async def test_how_a_command_ends_and_what_it_sees(fleet: Fleet) -> None:
    import asyncssh

    node = fleet.node("tower", server="asyncssh", env={"OWN": "a b"})
    key = {"client_keys": [str(fleet.key)], "known_hosts": str(fleet.known_hosts), "config": None}
    async with asyncssh.connect(node.machine.address, node.machine.port, **key) as line:
        seen = await line.run('echo "$HOME|$OWN|$SENT"; echo to stderr >&2; exit 5', env={"SENT": "dropped"})
        assert (seen.stdout, seen.stderr, seen.exit_status) == (f"{node.machine.home}|a b|\n", "to stderr\n", 5)
        assert str((await line.run("wc -c", input="x" * 3_000_000)).stdout).strip() == "3000000"
        killed = (await line.run("kill -KILL $$")).exit_signal
        assert killed is not None and killed[0] == signal.SIGKILL.name.removeprefix("SIG")
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(node.machine.address, node.machine.port, username="no-such-user", **key)


def test_what_it_can_not_do_is_a_skip_with_a_reason(fleet: Fleet) -> None:
    for options in ({"max_startups": "2:100:2"}, {"sshd": ("PermitTTY no", "HostCertificate /x")}):
        with pytest.raises(pytest.skip.Exception, match=f"^{NEEDS}sshd: (MaxStartups|PermitTTY)$"):
            fleet.node("tower", server="asyncssh", **options)
