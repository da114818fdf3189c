"""Nodes that only the person's own `ssh` reaches: by a connection that is open, or by what no library does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.engine.nodes.echo import says, transport
from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.openssh import NEEDS, chosen_server, needs
from tests.workbench import Workbench, until
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.experiment.cluster.entry import NodeEntry

pytestmark = needs("ssh", "ssh-keygen")


@pytest.fixture(autouse=True)
def real() -> None:
    if chosen_server() != "openssh":
        pytest.skip(f"{NEEDS}sshd")


class Card:
    """A key that nobody but the test has, and connections that were opened by it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.key = fleet.key.rename(fleet.folder / "on a card")
        fleet.key.with_suffix(".pub").rename(f"{self.key}.pub")
        config = fleet.home / ".ssh" / "config"
        config.write_text(config.read_text() + f"Host *\n  ControlPath {fleet.folder}/to-%n\n  RemoteCommand none\n")

    def log_in(self, name: str) -> None:
        self._ssh("-fNM", f'-oIdentityFile="{self.key}"', name)

    def log_out(self, name: str) -> None:
        self._ssh("-O", "exit", name)
        until(lambda: not (self.fleet.folder / f"to-{name}").exists())

    def _ssh(self, *words: str) -> None:
        program, log = self.fleet.programs / "ssh", self.fleet.folder / "ssh.log"
        with log.open("w") as file:
            done = subprocess.run(
                [program, "-oBatchMode=yes", *words],
                env=self.fleet.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                check=False,
            )
        assert done.returncode == 0, log.read_text()


async def test_a_connection_that_is_open_is_shared(fleet: Fleet, echo: None) -> None:
    fleet.node("tower")
    card = Card(fleet)
    async with transport(fleet, {"name": "tower", "host": "tower"}) as way:
        with pytest.raises(ChannelError) as caught:
            await way.open()
        assert caught.value.fatal and "there is no SSH key to offer" in str(caught.value)
        card.log_in("tower")
        channels = [await way.open(), await way.open_files(), await way.open_files()]
        assert way.by_program
        assert [(await channel.reader.readline()).split()[-1] for channel in channels] == [b"relay", b"files", b"files"]
        assert [await says(channel, "x" * 500_000) for channel in channels] == ["x" * 500_000] * 3
        card.log_out("tower")
        with pytest.raises(OSError, match="the SSH connection is gone"):
            await channels[0].reader.read()
        for channel in channels:
            await channel.close()
        with pytest.raises(ChannelError, match="the SSH connection broke"):
            await way.open()
        with pytest.raises(
            ChannelError, match=r"`ssh` could log in before, and can't now: log in again, .* no SSH key"
        ) as caught:
            await way.open()
        assert not caught.value.fatal  # it is tried again
        card.log_in("tower")
        await (await way.open()).close()


async def test_a_way_through_a_machine_with_an_open_connection(fleet: Fleet, echo: None) -> None:
    """The gate wants more than a key; the machine behind it does not."""
    fleet.node("gate")
    fleet.node("tower", via="gate")
    card = Card(fleet)
    config = fleet.home / ".ssh" / "config"
    config.write_text(f'Host tower\n  IdentityFile "{card.key}"\nHost gate\n  IdentityFile none\n{config.read_text()}')
    async with transport(fleet, {"name": "tower", "host": "tower"}) as way:
        with pytest.raises(ChannelError, match="jump host gate: "):
            await way.open()
        card.log_in("gate")
        channel = await way.open()
        assert way.by_program and (await channel.reader.readline()).split()[-1] == b"relay"
        await channel.close()


async def test_a_list_of_revoked_keys(fleet: Fleet, echo: None) -> None:
    """Its binary form is for OpenSSH alone."""
    node = fleet.node("tower")
    other = fleet.node("other", start=False)
    revoked = fleet.folder / "revoked.krl"
    config = fleet.home / ".ssh" / "config"
    config.write_text(config.read_text() + f"Host tower\n  RevokedHostKeys {revoked}\n")

    def revoke(name: str) -> None:
        words = ["ssh-keygen", "-q", "-k", "-f", str(revoked), str(fleet.keys / f"{name}.pub")]
        subprocess.run(words, check=True, capture_output=True)

    async with transport(fleet, {"name": "tower", "host": "tower"}) as way:
        revoke(other.name)
        await (await way.open()).close()
        assert way.by_program
    revoke(node.name)
    async with transport(fleet, {"name": "tower", "host": "tower"}) as way:
        with pytest.raises(ChannelError, match="a key revocation list"):
            await way.open()


async def test_what_the_entry_says_counts(fleet: Fleet, tmp_path: Path, echo: None) -> None:
    """Its key, its list of hosts, its port and user; and no host key is ever accepted unseen."""
    node = fleet.node("tower")
    strange = fleet.home / ".ssh" / 'a "strange" %h key'
    fleet.key.rename(strange)
    config = fleet.home / ".ssh" / "config"
    revoked = fleet.folder / "revoked.krl"
    words = ["ssh-keygen", "-q", "-k", "-f", str(revoked), f"{fleet.key}.pub"]
    subprocess.run(words, check=True, capture_output=True)
    usual = f"StrictHostKeyChecking no\nUser nobody\nUserKnownHostsFile /dev/null\nRevokedHostKeys {revoked}\n"
    config.write_text(usual)
    entry: NodeEntry = {**node.entry, "key": str(strange)}
    async with transport(fleet, entry) as way:
        await (await way.open()).close()
        assert way.by_program
    unseen = tmp_path / "hosts"
    unseen.touch()
    async with transport(fleet, {**entry, "known_hosts": str(unseen)}) as way:
        with pytest.raises(ChannelError):
            await way.open()
    assert not unseen.read_text()


@pytest.mark.slow
def test_a_run_over_an_open_connection(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("tower", shared=False)
    card = Card(fleet)
    text = "name: e\ncommand: 'cat words; echo {x}'\ninputs: words\nparameters: {x: [1, 2, 3]}\n"
    file = workbench.write("e.yaml", text)
    workbench.write("words", "sent\n")
    environment = fleet.environment(workbench)
    run = workbench("--run", file, "--node", "tower", "2", env=environment, code=None)
    assert run.code == 3 and "there is no SSH key to offer" in run.err
    card.log_in("tower")
    workbench("--run", file, "--node", "tower", "2", env=environment)
    assert workbench.output(2) == "sent\n3\n"
