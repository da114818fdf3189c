"""Channels over SSH: real sshd, real agents, login shells, and what a person's configuration says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.nodes.echo import LAB, eventually, says, transport
from tests.engine.nodes.fleet import Fleet, Node, make_key
from tests.engine.nodes.openssh import needs
from tests.workbench import alive, until
from tui_lab.engine.transports import transport_for
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.transport import SshTransport
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store.lab import Lab

# --- The agent


async def test_an_agent_comes_up_and_is_found_again(fleet: Fleet) -> None:
    node = fleet.node("tower")
    hello = {"type": "hello", "epoch": 1, "lab": LAB, "node": "tower", "slots": 3}
    spool = Path(f"/tmp/tui-lab-{os.getuid()}") / f"{LAB}-tower"
    async with transport(fleet, node.entry) as way:
        pids = []
        for _ in range(2):
            channel = await way.open()
            welcome = json.loads(await says(channel, json.dumps(hello)))
            assert (welcome["type"], welcome["slots"]) == ("welcome", 3)
            pids.append(welcome["pid"])
            await channel.close()
        assert pids[0] == pids[1] == node.agent_pid()
        channel = await way.open()
        channel.writer.write((json.dumps(hello) + "\n" + json.dumps({"type": "bye"}) + "\n").encode())
        await eventually(lambda: not alive(pids[0]))
        await channel.close()
    assert not spool.exists()


async def test_a_process_for_files(fleet: Fleet) -> None:
    node = fleet.node("attic", shared=False)
    (node.machine.home / "top/made").mkdir(parents=True)
    (node.machine.home / "top/made/file").write_text("x" * 7)
    async with transport(fleet, node.entry) as way:
        channel = await way.open_files()
        answer = json.loads(await says(channel, json.dumps({"list": "~/top/made", "home": "~/top"})))
        assert [(file["name"], file["size"]) for file in answer["files"]] == [("file", 7)]
        await channel.close()


def test_the_way_to_a_node(fleet: Fleet, tmp_path: Any) -> None:
    lab = Lab.create(tmp_path / "lab")
    entry: NodeEntry = {"name": "a", "host": "h", "spool": "/scratch"}
    assert transport_for(entry, lab, {}).spool == f"/scratch/{lab.identity}-a"  # type: ignore[attr-defined]
    assert transport_for({"name": "a", "host": "h"}, lab, {}).spool == f"{lab.identity}-a"  # type: ignore[attr-defined]
    here = transport_for({"name": "a"}, lab, {})
    assert str(here.spool).startswith("/tmp/tui-lab-")  # type: ignore[attr-defined]


def test_asyncssh_is_imported_when_it_is_needed() -> None:
    code = (
        "import sys; from tui_lab.engine import engine\n"
        "from tui_lab.engine.transports import ssh\n"
        "assert 'asyncssh' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Login shells


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "zsh", "ksh", "fish", "tcsh", "csh"])
async def test_any_login_shell_starts_it(fleet: Fleet, echo: None, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell}")
    node = fleet.node("tower", shell=path)
    spool = '~/a b/it\'s $HOME "x" \\n {x} %d `y`' + ("" if "csh" in shell else " !")
    it = SshTransport(node.entry, spool, fleet.environment())
    channel = await it.open()
    assert (await channel.reader.readline()).decode() == f"{spool} relay\n"
    assert await says(channel) == "hello"
    await channel.close()
    await it.close()


async def test_a_program_below_home(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower")
    (node.machine.home / "my python").symlink_to(shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin") or "")
    async with transport(fleet, {**node.entry, "python": "~/my python"}) as way:
        channel = await way.open()
        assert await channel.reader.readline() == f"{LAB}-tower relay\n".encode()
        await channel.close()


@pytest.mark.slow
async def test_a_noisy_login(fleet: Fleet, echo: None) -> None:
    line = "echo a welcome to tui-lab agent, send the source; echo oops >&2"
    noise = f"for i in $(seq 3000); do {line}; done; printf 'no newline: '\n"
    node = fleet.node("loud", bashrc=noise, banner="Property of\nsomebody\n")
    async with transport(fleet, node.entry) as way:
        channel = await way.open()
        assert await channel.reader.readline() == f"{LAB}-loud relay\n".encode()
        assert await says(channel) == "hello"
        await channel.close()
        assert (await channel.stderr_tail()).count("oops") == 3000
    (node.machine.home / ".bashrc").write_text("yes noise\n")
    async with transport(fleet, node.entry) as way:
        with pytest.raises(ChannelError, match="its login shell prints without end"):
            await way.open()


async def test_a_login_that_waits(fleet: Fleet, echo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_lab.engine.transports.ssh.transport.BOOT", 1.0)
    node = fleet.node("asking", bashrc="cat >/dev/null\nsleep 100\n")
    async with transport(fleet, node.entry) as way:
        with pytest.raises(ChannelError, match="do its start files wait for input"):
            await way.open()


SLOWER = "sleep 1\n"  # than what counts as slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "bashrc",
    [
        "sleep 0.3; echo hello\n",
        "set -e\n",
        "seq 200000\n",  # more than a megabyte
        "read answer; echo $answer\n",
        "read -t 0.1 answer; read -n 1 letter\n",
        "exec zsh\n",
        'test "$0" = zsh || exec zsh -l\n',
        "exec tcsh\n",
        "exec dash\n",
        SLOWER,
    ],
)
async def test_start_files_that_do_much(fleet: Fleet, bashrc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bashrc == SLOWER:
        monkeypatch.setattr("tui_lab.engine.transports.ssh.transport.SLOW", 0.5)
    shell = bashrc.partition("exec ")[2].split()[:1]
    if shell and shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]}")
    node = fleet.node("tower", bashrc=bashrc)
    hello = {"type": "hello", "epoch": 1, "lab": LAB, "node": "tower", "slots": 3}
    async with transport(fleet, node.entry) as way:
        for _ in range(2):
            channel = await way.open()
            assert json.loads(await says(channel, json.dumps(hello)))["type"] == "welcome"
            await channel.close()
        channel = await way.open()
        channel.writer.write((json.dumps(hello) + "\n" + json.dumps({"type": "bye"}) + "\n").encode())
        await eventually(lambda: not node.agent_pid())
        await channel.close()


async def test_a_shell_that_waits_for_the_end_of_its_input(
    fleet: Fleet, echo: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_lab.engine.transports.ssh.transport.SLOW", 0.5)
    reader = fleet.folder / "reader"  # as fish does
    reader.write_text('#!/bin/sh\nall=$(cat)\neval "$all"\n')
    reader.chmod(0o755)
    node = fleet.node("tower", bashrc=f"exec {reader}\n")
    async with transport(fleet, node.entry) as way:
        with pytest.raises(ChannelError, match=r"write before that line: \[\[ \$- == \*i\* \]\] \|\| return") as caught:
            await way.open()
    assert caught.value.fatal


async def test_a_start_file_that_ends_the_login(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower", bashrc="echo no entry >&2\nexit 3\n")
    async with transport(fleet, node.entry) as way:
        with pytest.raises(ChannelError, match="its login shell started no agent: no entry"):
            await way.open()


# --- ~/.ssh/config


async def test_aliases_and_the_way_through_another(fleet: Fleet, echo: None) -> None:
    fleet.node("gate")
    inner = fleet.node("inner", via="gate")
    for entry in (inner.entry, NodeEntry(name="inner", host="inner")):
        async with transport(fleet, entry) as way:
            channel = await way.open()
            assert await channel.reader.readline() == f"{LAB}-inner relay\n".encode()
            await channel.close()
    assert until(lambda: "Accepted publickey" in fleet.nodes["gate"].machine.log())
    fleet.stop("inner")
    async with transport(fleet, inner.entry) as way:
        with pytest.raises(ChannelError, match="the jump host can't reach 127"):
            await way.open()
    fleet.stop("gate")
    async with transport(fleet, inner.entry) as way:
        with pytest.raises(ChannelError, match="jump host gate: nothing answers at"):
            await way.open()


async def test_a_way_of_two_steps_is_used_once(fleet: Fleet, echo: None) -> None:
    gate: Node = fleet.node("gate")
    fleet.node("second", via="gate")
    inner = fleet.node("inner", via="second", max_sessions=1)
    async with transport(fleet, inner.entry) as way:
        control, files = await way.open(), await way.open_files()
        assert inner.machine.sessions() == 2 and gate.machine.sessions() == 1
        await control.close()
        await files.close()
    await eventually(lambda: gate.machine.sessions() == 0)


async def test_version_six_addresses(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower")
    if "::1" not in node.machine._config():
        pytest.skip("there is no IPv6")
    async with transport(fleet, {**node.entry, "host": "::1"}) as way:
        await (await way.open()).close()


@needs("ssh-keygen")
async def test_a_certificate_authority_vouches_for_a_host(fleet: Fleet, echo: None) -> None:
    """The key itself is not known, and where an old one is, the certificate still counts."""
    make_key(fleet.folder / "authority")
    make_key(fleet.folder / "old")
    node = fleet.node("tower", known=False, start=False, sshd=(f"HostCertificate {fleet.keys}/tower-cert.pub",))
    words = ["ssh-keygen", "-q", "-s", str(fleet.folder / "authority"), "-I", "tower", "-h", "-n", "127.0.0.1"]
    subprocess.run([*words, str(fleet.keys / "tower.pub")], check=True, capture_output=True)
    fleet.start("tower")
    place = f"[127.0.0.1]:{node.entry['port']}"
    authority = f"@cert-authority {place} {(fleet.folder / 'authority.pub').read_text()}"
    for known in (authority, authority + f"{place} {(fleet.folder / 'old.pub').read_text()}"):
        fleet.known_hosts.write_text(known)
        async with transport(fleet, node.entry) as way:
            await (await way.open()).close()
