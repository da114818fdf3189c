"""What keeps a node from being reached: each is one clear line that says what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

import asyncssh
import pytest

from tests.engine.nodes.fleet import Fleet, make_key
from tests.engine.nodes.openssh import needs
from tui_lab.engine.transports.failures import ChannelError, agent_failure
from tui_lab.engine.transports.ssh.errors import explain
from tui_lab.engine.transports.ssh.options import find_target
from tui_lab.engine.transports.ssh.transport import SshTransport
from tui_lab.experiment.cluster.entry import NodeEntry


async def failure(fleet: Fleet, entry: NodeEntry, **environment: str) -> ChannelError:
    """What comes of a try to open a channel; the message is one line."""
    transport = SshTransport(entry, "0123456789abcdef-test", fleet.environment(**environment))
    try:
        with pytest.raises(ChannelError) as caught:
            await transport.open()
    finally:
        await transport.close()
    text = str(caught.value)
    assert "\n" not in text and "Traceback" not in text and "Errno" not in text, text
    return caught.value


@needs("ssh", "ssh-keygen")
async def test_a_host_key_that_is_not_known(fleet: Fleet) -> None:
    node = fleet.node("tower", known=False)
    error = await failure(fleet, node.entry)
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", str(fleet.keys / "tower.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert error.fatal
    assert f"is not known: ssh-ed25519 {fingerprint}; to compare and accept it, type: ssh -p " in str(error)
    command = str(error).partition("type: ")[2]
    assert command.endswith(f"-o UserKnownHostsFile={fleet.known_hosts} {node.entry['user']}@127.0.0.1")
    accepting = (
        f"{command.replace('ssh ', 'ssh -o StrictHostKeyChecking=accept-new -i ' + str(fleet.key) + ' ', 1)} true"
    )
    assert subprocess.run(["sh", "-c", accepting], stdin=subprocess.DEVNULL, check=False).returncode == 0
    transport = SshTransport(node.entry, "0123456789abcdef-test", fleet.environment())
    await (await transport.open()).close()
    await transport.close()


async def test_a_host_key_that_has_changed(fleet: Fleet) -> None:
    node = fleet.node("tower")
    fleet.new_host_key("tower")
    error = await failure(fleet, node.entry)
    assert error.fatal
    assert "has CHANGED (it is ssh-ed25519 SHA256:" in str(error)
    assert f"ssh-keygen -f {fleet.known_hosts} -R '[127.0.0.1]:{node.entry['port']}' && ssh -p " in str(error)


async def test_a_host_key_of_another_kind_is_a_changed_one(fleet: Fleet) -> None:
    node = fleet.node("tower", known=False)
    make_key(fleet.folder / "other", kind="ecdsa-sha2-nistp256")
    public = (fleet.folder / "other.pub").read_text()
    fleet.known_hosts.write_text(f"a bad line\n[127.0.0.1]:{node.entry['port']} {public}")
    error = await failure(fleet, node.entry)
    assert error.fatal
    assert "has CHANGED (it is ssh-ed25519 SHA256:" in str(error)


async def test_nothing_in_the_configuration_turns_the_check_off(fleet: Fleet) -> None:
    fleet.node("tower", known=False)
    config = fleet.home / ".ssh" / "config"
    config.write_text("UserKnownHostsFile none\nStrictHostKeyChecking no\n" + config.read_text())
    error = await failure(fleet, {"name": "tower", "host": "tower"})
    assert error.fatal and "is not known" in str(error)
    assert str(error).endswith("type: ssh tower")


async def test_a_key_that_is_refused(fleet: Fleet) -> None:
    node = fleet.node("tower")
    make_key(fleet.folder / "mine")
    error = await failure(fleet, {**node.entry, "key": str(fleet.folder / "mine")})
    assert error.fatal
    assert f"refuses the keys that were offered ({fleet.folder / 'mine'}); it takes: publickey" in str(error)
    assert "; type: ssh-copy-id -i " in str(error)
    error = await failure(fleet, {**node.entry, "key": "~/nowhere"})
    assert error.fatal and str(error) == f"its key {fleet.home / 'nowhere'}: there is no such file"
    (fleet.home / "text").write_text("nothing\n")
    assert "it holds no private key" in str(await failure(fleet, {**node.entry, "key": "~/text"}))


@needs("ssh-keygen", "ssh-agent", "ssh-add")
async def test_a_key_with_a_passphrase_needs_an_agent(fleet: Fleet) -> None:
    node = fleet.node("tower")
    locked = fleet.folder / "locked"
    make_key(locked, passphrase="secret")
    with (fleet.keys / "authorized_keys").open("a") as file:
        file.write(locked.with_suffix(".pub").read_text())
    entry: NodeEntry = {**node.entry, "key": str(locked)}
    error = await failure(fleet, entry)
    assert error.fatal
    assert f"the key {locked} has a passphrase, and no SSH agent opens it; type: ssh-add {locked}" in str(error)
    socket_path = fleet.folder / "agent"
    fleet.processes.append(subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL))
    while not socket_path.exists():
        await asyncio.sleep(0.01)
    assert "has a passphrase" in str(await failure(fleet, entry, SSH_AUTH_SOCK=str(socket_path)))
    asking = fleet.folder / "ask"
    asking.write_text("#!/bin/sh\necho secret\n")
    asking.chmod(0o755)
    add = {**os.environ, "SSH_AUTH_SOCK": str(socket_path), "SSH_ASKPASS": str(asking), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", str(locked)], env=add, check=True, capture_output=True)
    # Its public half tells the agent which one is meant; where no key is named, the agent offers all.
    for own in (str(locked), f"{locked}.pub", ""):
        transport = SshTransport(
            {**entry, "key": own}, "0123456789abcdef-test", fleet.environment(SSH_AUTH_SOCK=str(socket_path))
        )
        await (await transport.open()).close()
        await transport.close()
    gone = await failure(fleet, entry, SSH_AUTH_SOCK=str(fleet.folder / "gone"))
    assert "has a passphrase" in str(gone)


async def test_a_closed_port_and_a_name_that_is_none(fleet: Fleet) -> None:
    node = fleet.node("tower", start=False)
    error = await failure(fleet, node.entry)
    assert not error.fatal
    assert (
        str(error) == f"nothing answers at 127.0.0.1 port {node.entry['port']}: does sshd run there, and at this port?"
    )
    error = await failure(fleet, {**node.entry, "host": "no-such-host.invalid"})
    assert 'the name "no-such-host.invalid" does not resolve; ' in str(error)
    target = find_target({**node.entry, "host": "nowhere"}, fleet.environment())
    assert explain(socket.gaierror(socket.EAI_NONAME, "?"), target).fatal
    assert not explain(socket.gaierror(socket.EAI_AGAIN, "?"), target).fatal


async def test_a_node_that_does_not_answer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_lab.engine.transports.ssh import options

    monkeypatch.setattr(options, "CONNECT", 1.0)
    node = fleet.node("far", droppable=True, latency=0.001)
    fleet.drop("far")
    error = await failure(fleet, node.entry)
    assert not error.fatal
    assert str(error).startswith(f"no answer from 127.0.0.1 port {node.entry['port']} within ")


async def test_python_that_is_missing_or_too_old(fleet: Fleet) -> None:
    node = fleet.node("tower")
    error = await failure(fleet, {**node.entry, "python": "python9"})
    assert error.fatal
    assert str(error) == (
        'there is no "python9" that runs on it; name another one in cluster.yaml, as in python: ~/venv/bin/python'
    )
    assert 'no "~/venv/bin/python"' in str(await failure(fleet, {**node.entry, "python": "~/venv/bin/python"}))
    old = node.machine.home / "old"
    for version, said in (("(2, 7, 18)", "Python 2.7"), ("(3, 5, 2)", "Python 3.5")):
        # What an old Python would answer, from the words that it would run.
        old.write_text(
            f"#!/usr/bin/env python3\nimport sys\nsys.version_info = {version}\n"
            "exec(sys.argv[4].replace('v=sys.version_info', 'v=' + repr(sys.version_info)))\n"
        )
        old.chmod(0o755)
        error = await failure(fleet, {**node.entry, "python": "~/old"})
        assert error.fatal and f'its "~/old" is {said}, and 3.6 is needed' in str(error)
    old.write_text("#!/usr/bin/env python3\nimport sys\nsys.platform = 'darwin'\nexec(sys.argv[4])\n")
    error = await failure(fleet, {**node.entry, "python": "~/old"})
    assert error.fatal and str(error) == "it runs darwin, and tasks run on Linux only"


@pytest.mark.skipif(shutil.which("python2.7") is None, reason="there is no Python 2.7")
async def test_a_real_python_2_says_so(fleet: Fleet) -> None:
    real = subprocess.run(["python2.7", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
    if real.returncode:
        pytest.skip("Python 2.7 does not run")
    node = fleet.node("tower")
    error = await failure(fleet, {**node.entry, "python": real.stdout.strip()})
    assert error.fatal and "is Python 2.7, and 3.6 is needed" in str(error)


async def test_a_full_tmp(fleet: Fleet) -> None:
    node = fleet.node("tiny", shared=False, tmp_size="64k")
    transport = SshTransport(node.entry, "/tmp/tui-lab-test/spool", fleet.environment())
    subprocess.run(
        ["nsenter", "-t", str(node.machine.pid), "-m", "sh", "-c", "cat /dev/zero >/tmp/filler"],
        capture_output=True,
        check=False,
    )
    channel = await transport.open()
    while await channel.reader.read(1 << 16):
        pass
    error = await channel.failure()
    assert str(error).startswith("no room for the agent's own files: ")
    assert "No space left on device; free some there, or name another place in cluster.yaml, as in spool:" in str(error)
    await channel.close()
    await transport.close()


def test_last_words_of_an_agent() -> None:
    said = "noise of a login\n/spool/x is in use by the machine attic (if that is gone for good, remove it)\n"
    error = agent_failure(said, 1, "python3", started=True)
    assert error.fatal and str(error).startswith("/spool/x is in use by the machine attic")
    assert agent_failure("/tmp/x belongs to someone else", 1, "python3", started=True).fatal
    readonly = agent_failure("/tmp/x: Read-only file system", 1, "python3", started=True)
    assert readonly.fatal and "as in spool: " in str(readonly)
    assert str(agent_failure("", None, "python3", started=True)) == "the agent hung up before it said anything"
    assert str(agent_failure("", 3, "python3", started=False)).endswith("started no agent: exit status 3")
    assert 'no "py" that runs on it (sh: py: Permission denied)' in str(
        agent_failure("sh: py: Permission denied", 126, "py", started=False)
    )


async def test_an_account_without_a_shell(fleet: Fleet) -> None:
    node = fleet.node("closed", sshd=("ForceCommand echo 'This account is not available.' >&2; exit 1",))
    error = await failure(fleet, node.entry)
    assert str(error) == "its login shell started no agent: This account is not available."


@pytest.mark.slow
async def test_mistakes_of_the_configuration(fleet: Fleet) -> None:
    fleet.node("tower")
    config = fleet.home / ".ssh" / "config"
    config.write_text("Host tower\n  Port many\n")
    for path in (None, "/nowhere"):  # with an `ssh`, and without one
        error = await failure(fleet, {"name": "tower", "host": "tower"}, **({"PATH": path} if path else {}))
        assert error.fatal and str(error).startswith(str(config)) and "line 2" in str(error)
    other = fleet.folder / "other"
    other.mkdir()
    (other / "ssh").write_text(
        "#!/bin/sh\necho Dropbear v2022.83 >&2\ncase $1 in -V) ;; -G) sleep 100;; *) exit 255;; esac\n"
    )
    (other / "ssh").chmod(0o755)
    error = await failure(fleet, {"name": "tower", "host": "tower"}, PATH=str(other))
    assert str(error).startswith(f"{config}: ") and "line 2" in str(error)  # which no OpenSSH has read
    config.write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    error = await failure(fleet, {"name": "a", "host": "a"})
    assert error.fatal and "leads in a circle" in str(error)


@pytest.mark.parametrize("takes_keys", [True, False])
async def test_a_server_that_wants_a_password_is_never_answered(fleet: Fleet, takes_keys: bool) -> None:
    """asyncssh's own server: what sshd does without PAM is not enough."""

    class Asking(asyncssh.SSHServer):
        asked = 0

        def public_key_auth_supported(self) -> bool:
            return takes_keys

        def password_auth_supported(self) -> bool:
            return True

        def kbdint_auth_supported(self) -> bool:
            return True

        def get_kbdint_challenge(self, *_: str) -> bool:
            Asking.asked += 1
            return False

        def validate_password(self, *_: str) -> bool:
            Asking.asked += 1
            return False

    key = asyncssh.read_private_key(str(fleet.key))
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Asking)
    port = server.get_port()
    fleet.known_hosts.write_text(f"[127.0.0.1]:{port} {fleet.key.with_suffix('.pub').read_text()}")
    entry: NodeEntry = {"host": "127.0.0.1", "port": port, "known_hosts": str(fleet.known_hosts), "key": str(fleet.key)}
    try:
        error = await failure(fleet, {"name": "x", **entry})
    finally:
        server.close()
        await server.wait_closed()
    assert error.fatal and Asking.asked == 0
    if takes_keys:
        assert "refuses the keys" in str(error)
        assert "; it takes: publickey, keyboard-interactive, password; type: ssh-copy-id" in str(error)
    else:
        assert "takes no SSH key, or wants more than that" in str(error) and "type: ssh -v -p " in str(error)


def test_words_for_all_paths(fleet: Fleet, tmp_path: Path) -> None:
    """A path with ~ is below the submitter's home, wherever the engine was started."""
    fleet.node("tower", start=False)
    target = find_target({"host": "tower", "key": "~/.ssh/id_ed25519"}, fleet.environment())
    assert target.identities.files == [str(fleet.key)]
    assert target.user and target.words("-v") == "-v tower"
