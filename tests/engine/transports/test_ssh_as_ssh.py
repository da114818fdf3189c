"""What `ssh HOST` reaches by the person's configuration is reached, and what it does not reach is told.

OpenSSH takes the home from passwd, so these run in a root of their own, where that is empty. `ssh` itself is asked
first, whatever a test says.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from getpass import getuser
from pathlib import Path

import pytest

from tests import rooted
from tests.engine.nodes.echo import LAB, eventually
from tests.engine.nodes.fleet import Fleet, Node, fleet, make_key
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.config import read_settings
from tui_lab.engine.transports.ssh.transport import SshTransport
from tui_lab.experiment.cluster.entry import NodeEntry

__all__ = ["fleet"]

pytestmark = [rooted.only, rooted.inside]

SSH = Path("/root/.ssh")
USUAL = SSH / "id_ed25519"


@pytest.fixture(autouse=True)
def person(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody with one key, who knows the hosts of the fleet."""
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    shutil.rmtree(SSH, ignore_errors=True)
    SSH.mkdir(mode=0o700)
    shutil.copy(fleet.key, USUAL)
    system, users = Path("/etc/ssh/ssh_config").read_bytes(), Path("/etc/passwd").read_bytes()
    yield
    Path("/etc/ssh/ssh_config").write_bytes(system)
    Path("/etc/passwd").write_bytes(users)


def known(fleet: Fleet, name: str) -> str:
    """The lines of known_hosts for a node."""
    lines = fleet.known_hosts.read_text().splitlines(keepends=True)
    key = (fleet.keys / f"{name}.pub").read_text().split()[1]
    return "".join(line for line in lines if key in line)


def config(text: str, node: Node | None = None, **more: str) -> None:
    """~/.ssh/config, with PORT and USER of a node put in."""
    text = text.replace("USER", getuser()).replace("PORT", str(node.machine.port) if node else "22")
    for name, value in more.items():
        text = text.replace(name, value)
    (SSH / "config").write_text(text)


def by_ssh(host: str, patience: str = "10", **environment: str) -> subprocess.CompletedProcess[str]:
    """What `ssh` makes of it. patience: seconds, whatever the configuration says."""
    words = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={patience}", host, "echo there"]
    env = {**os.environ, **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env)


async def reached(host: str, **environment: str) -> None:
    """Both reach a host."""
    said = by_ssh(host, **environment)
    assert said.stdout == "there\n", said.stderr
    way = SshTransport({"name": "x", "host": host}, f"{LAB}-x", {**os.environ, **environment})
    try:
        await (await way.open_files()).close()
        assert not way.by_program
    finally:
        await way.close()


async def refused(host: str, **environment: str) -> ChannelError:
    """Neither does; why."""
    assert by_ssh(host, **environment).returncode == 255
    return await refused_here(host, **environment)


async def refused_here(host: str, **environment: str) -> ChannelError:
    """Why ours does not."""
    way = SshTransport({"name": "x", "host": host}, f"{LAB}-x", {**os.environ, **environment})
    try:
        with pytest.raises(ChannelError) as caught:
            await way.open_files()
    finally:
        await way.close()
    assert "\n" not in str(caught.value)
    return caught.value


PLAIN = "Host tower\n  HostName 127.0.0.1\n  Port PORT\n"


@pytest.mark.parametrize(
    "text",
    [
        "Host tower\n HostName 127.0.0.1\n Port PORT # here\n",
        PLAIN + "  ConnectTimeout 1m\n",
        'Match originalhost tower exec "test %h = tower"\n  HostName 127.0.0.1\n  Port PORT\n',
        "CanonicalizeHostname no\nMatch final host 127.0.0.1\n  Port PORT\nHost tower\n  HostName 127.0.0.1\n",
        "IgnoreUnknown UseKeychain\nHost *\n  UseKeychain yes\n" + PLAIN,
        "Host other\n  Port 22 # of mine\n  ConnectTimeout 1h\n  LogVerbose kex.c:*:1000\n" + PLAIN,
        "Host=tower\n  HostName = 127.0.0.1\n  Port=PORT\n  IPQoS lowdelay throughput\n  RekeyLimit 1G 1h\n",
        PLAIN + "  RemoteCommand tmux attach\n  RequestTTY yes\n",
        PLAIN + "  KexAlgorithms ^curve25519-sha256\n  Ciphers -aes128-ctr\n  HostKeyAlgorithms +ssh-rsa\n",
        PLAIN + "  Compression yes\n  AddressFamily inet\n  BindAddress 127.0.0.1\n  TCPKeepAlive no\n",
        PLAIN + "  ForwardAgent yes\n  SendEnv LANG\n  SetEnv A=b\n  AddKeysToAgent yes\n  BatchMode yes\n",
        PLAIN + "  PubkeyAuthentication unbound\n  CertificateFile ~/.ssh/lost\n  IdentityFile ~/.ssh/lost\n"
        "  IdentityFile ~/.ssh/config\n  IdentityFile ~/.ssh/id_ed25519\n  ForwardX11 yes\n",
        PLAIN + "  ControlMaster auto\n  ControlPath ~/.ssh/%C\n  PreferredAuthentications publickey\n",
    ],
)
async def test_forms_of_the_configuration(fleet: Fleet, text: str) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    config(text, node)
    if "RemoteCommand" not in text:  # which ssh takes with no other command
        await reached("tower")
    else:
        settings = read_settings({"host": "tower"}, os.environ)
        assert (settings.host, settings.port, settings.user) == ("127.0.0.1", node.machine.port, getuser())
        way = SshTransport({"name": "x", "host": "tower"}, f"{LAB}-x", os.environ)
        await (await way.open_files()).close()
        await way.close()


async def test_a_condition_that_only_newer_ones_know(fleet: Fleet) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    config("Match localnetwork 0.0.0.0/0,::/0\n  ServerAliveInterval 7\n" + PLAIN, node)
    if "localnetwork" in by_ssh("tower").stderr:
        assert "/root/.ssh/config line 1: Bad Match condition" in str(await refused("tower"))
    else:
        await reached("tower")


async def test_hosts_of_the_whole_machine_and_of_included_files(fleet: Fleet) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    with open("/etc/ssh/ssh_config", "a") as file:
        file.write(PLAIN.replace("PORT", str(node.machine.port)))
    await reached("tower")
    (SSH / "more").mkdir()
    (SSH / "more" / "a.conf").write_text(PLAIN.replace("PORT", str(node.machine.port)).replace("tower", "attic"))
    config("Include more/*.conf\n")
    await reached("attic")


async def test_a_mistake_is_told_as_ssh_tells_it(fleet: Fleet) -> None:
    config("Host tower\n  Port many\n")
    error = await refused("tower")
    assert error.fatal and str(error) == "/root/.ssh/config line 2: Bad port 'many'."
    config("Host other\n  UseKeychain yes\n")
    error = await refused("tower")
    assert error.fatal and str(error) == "/root/.ssh/config: line 2: Bad configuration option: usekeychain"


async def test_tokens_in_names_of_files(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")  # ssh asks passwd, whatever this says
    node = fleet.node("tower")
    USUAL.rename(SSH / f"tower-127.0.0.1-{getuser()} of 100%")
    (SSH / "hosts of 127.0.0.1").write_text(known(fleet, "tower"))
    config(
        PLAIN
        + '  IdentityFile "~/.ssh/%n-%h-%r of 100%%"\n  UserKnownHostsFile "~/.ssh/no such" "~/.ssh/hosts of %h"\n',
        node,
    )
    await reached("tower")
    (SSH / f"tower-127.0.0.1-{getuser()} of 100%").replace(SSH / "mine")
    config(PLAIN + '  IdentityFile ${KEYS}/mine\n  UserKnownHostsFile "%d/.ssh/hosts of %h"\n', node)
    await reached("tower", KEYS=str(SSH))


async def test_a_proxy_command_is_run_by_the_shell(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(f"tower {known(fleet, 'tower').partition(' ')[2]}")
    relay = tmp_path / "a relay"
    relay.write_text("#!/bin/bash\nexec 3<>/dev/tcp/$1/$2 || exit\ncat <&3 & cat >&3; kill $!\n")
    relay.chmod(0o755)
    for command in (
        f"'{relay}' 127.0.0.1 PORT",
        f'bash -c "echo \\"%n %h %p %r %%\\" >{tmp_path}/said; exec \'{relay}\' 127.0.0.1 $REAL" 2>/dev/null',
        f"cat | '{relay}' 127.0.0.1 PORT | cat",
    ):
        config(f"Host tower\n  Port 2\n  HostKeyAlias tower\n  ProxyCommand {command}\n", node)
        await reached("tower", REAL=str(node.machine.port))
    assert (tmp_path / "said").read_text() == f"tower tower 2 {getuser()} %\n"


async def test_a_proxy_command_that_fails(fleet: Fleet) -> None:
    config("Host tower\n  ProxyCommand no-such-program %h %p\n")
    error = await refused("tower")
    assert str(error).startswith("tower port 22: its ProxyCommand (no-such-program tower 22): ")
    assert "not found" in str(error) and "exit status 127" in str(error)
    config("Host tower\n  ProxyCommand sh -c 'echo the gate is closed >&2; exit 3'\n")
    assert str(await refused("tower")).endswith(": the gate is closed (exit status 3)")


@pytest.mark.parametrize("hangups", [signal.SIG_DFL, signal.SIG_IGN], ids=["usual", "under nohup"])
async def test_a_proxy_command_that_says_nothing(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, hangups: signal.Handlers, request: pytest.FixtureRequest
) -> None:
    from tui_lab.engine.transports.ssh import options

    monkeypatch.setattr(options, "CONNECT", 1.0)
    config("Host tower\n  ConnectTimeout 1\n  ProxyCommand sleep 98.76\n")
    request.addfinalizer(partial(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, hangups)))
    if hangups is signal.SIG_DFL:  # under nohup, ssh itself leaves the program running
        assert by_ssh("tower", patience="1").returncode == 255
    error = await refused_here("tower")
    assert str(error).startswith("no answer from tower port 22 within 1 s")
    await eventually(lambda: not [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"98.76" in said_of(path)])


def said_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_a_proxy_command_that_hands_a_connection_over(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    (tmp_path / "pass.py").write_text(
        "import socket, sys\n"
        "there = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "socket.send_fds(socket.socket(fileno=1), [b'\\0'], [there.fileno()])\n"
    )
    config(PLAIN + f"  ProxyUseFdpass yes\n  ProxyCommand /usr/bin/env python3 {tmp_path}/pass.py %h %p\n", node)
    await reached("tower")


async def test_a_chain_of_machines_on_the_way(fleet: Fleet) -> None:
    nodes = {name: fleet.node(name) for name in ("gate", "yard", "tower")}
    (SSH / "known_hosts").write_text("".join(known(fleet, name) for name in nodes))
    (SSH / "gate-key").write_bytes(USUAL.read_bytes())
    (SSH / "gate-key").chmod(0o600)
    text = "".join(f"Host {name}\n  HostName 127.0.0.1\n  Port {node.machine.port}\n" for name, node in nodes.items())
    config(
        text + "Host tower\n  ProxyJump yard\nHost yard\n  ProxyJump gate\nHost gate\n  IdentityFile ~/.ssh/%n-key\n"
    )
    await reached("tower")
    config(text + f"Host tower\n  ProxyJump {getuser()}@gate:{nodes['gate'].machine.port},ssh://yard\n")
    await reached("tower")
    assert all("Accepted publickey" in nodes[name].machine.log() for name in nodes)
    fleet.stop("gate")
    assert str(await refused("tower")).startswith(f"jump host {getuser()}@gate:")


async def test_a_command_that_knows_hosts(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.node("tower")
    kind, key = (fleet.keys / "tower.pub").read_text().split()[:2]
    log = tmp_path / "log"
    script = tmp_path / "hosts of mine"
    script.write_text(f'#!/bin/sh\necho "$@" >>{log}\ntest "$4" = {key} && echo "$1 {kind} {key}"\ntrue\n')
    script.chmod(0o755)
    config(PLAIN + f'  KnownHostsCommand "{script}" %H %I %t %K %f\n', node)
    await reached("tower")
    place = f"[127.0.0.1]:{node.machine.port}"
    told = [line.split() for line in log.read_text().splitlines()]
    fingerprint = next(words[4] for words in told if words[1] == "HOSTNAME")
    half = len(told) // 2  # the first ones are of ssh itself
    assert told[half:] == told[:half]
    assert told[half:] == [["127.0.0.1", "ORDER", "NONE", "NONE", "NONE"], [place, "HOSTNAME", kind, key, fingerprint]]
    script.write_text("#!/bin/sh\necho the list of hosts is away >&2\nexit 1\n")
    assert "the list of hosts is away" in str(await refused("tower"))


async def test_hashed_names_aliases_and_authorities(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.node("tower", sshd=(f"HostCertificate {fleet.keys}/tower-cert.pub",), start=False)
    make_key(tmp_path / "authority")
    words = ["ssh-keygen", "-q", "-s", str(tmp_path / "authority"), "-I", "x", "-h", "-n", "tower.lab", "-V", "+1d"]
    subprocess.run([*words, str(fleet.keys / "tower.pub")], check=True, capture_output=True)
    fleet.start("tower")
    file = SSH / "known_hosts"
    file.write_text(known(fleet, "tower"))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "127.0.0.1" not in file.read_text()
    config(PLAIN, node)
    await reached("tower")
    authority = (tmp_path / "authority.pub").read_text()
    file.write_text(f"@cert-authority *.lab {authority}")
    config(PLAIN + "  HostKeyAlias tower.lab\n", node)
    await reached("tower")
    file.write_text(f"@cert-authority *.lab {authority}@revoked * {authority}")
    assert "revoked" in str(await refused("tower"))
    file.write_text(f"tower.lab {known(fleet, 'tower').partition(' ')[2]}")
    await reached("tower")
    (SSH / "gone").write_text((fleet.keys / "tower.pub").read_text())
    config(PLAIN + "  HostKeyAlias tower.lab\n  RevokedHostKeys ~/.ssh/gone\n", node)
    assert "revoked" in str(await refused("tower"))
    file.write_text("")
    config(PLAIN, node)
    assert "is not known: ssh-ed25519 SHA256:" in str(await refused("tower"))


async def test_a_changed_key_names_its_line(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.node("tower")
    make_key(tmp_path / "other")
    other = (tmp_path / "other.pub").read_text()
    (SSH / "known_hosts").write_text(f"# mine\n\n[127.0.0.1]:{node.machine.port} {other}")
    config(PLAIN, node)
    error = str(await refused("tower"))
    assert "another one in /root/.ssh/known_hosts:3)" in error
    assert f"ssh-keygen -R '[127.0.0.1]:{node.machine.port}' && ssh tower" in error


async def test_keys_that_are_certified(fleet: Fleet, tmp_path: Path) -> None:
    make_key(tmp_path / "authority")
    node = fleet.node("tower", sshd=(f"TrustedUserCAKeys {tmp_path}/authority.pub",))
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    make_key(USUAL)
    config(PLAIN + "  CertificateFile ~/.ssh/of-%n\n", node)
    assert "refuses the keys that were offered (/root/.ssh/id_ed25519)" in str(await refused("tower"))
    words = ["ssh-keygen", "-q", "-s", str(tmp_path / "authority"), "-I", "x", "-n", getuser()]
    subprocess.run([*words, f"{USUAL}.pub"], check=True, capture_output=True)
    (SSH / "id_ed25519-cert.pub").rename(SSH / "of-tower")
    await reached("tower")


@pytest.mark.parametrize("user", ["LAB\\ana", "ana@lab.example", "ana.b-c_d"])
async def test_names_of_users(fleet: Fleet, user: str) -> None:
    with open("/etc/passwd", "a") as file:
        file.write(f"{user}:x:0:0::/root:/bin/sh\n")
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    config(PLAIN + f"  User {user}\n", node)
    await reached("tower")
    entry: NodeEntry = {"name": "x", "host": "127.0.0.1", "port": node.machine.port, "user": user}
    way = SshTransport(entry, f"{LAB}-x", os.environ)
    await (await way.open_files()).close()
    await way.close()


async def test_an_address_in_brackets(fleet: Fleet) -> None:
    if not Path("/proc/net/if_inet6").exists():
        return
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    way = SshTransport({"name": "x", "host": "::1", "port": node.machine.port}, f"{LAB}-x", os.environ)
    await (await way.open_files()).close()
    await way.close()


def lock(key: Path) -> None:
    """Give a key a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True, capture_output=True)


def start_agent(fleet: Fleet, socket: Path, *keys: Path) -> Path:
    """An SSH agent with some keys, in this order."""
    fleet.processes.append(subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL))
    ask = socket.with_name("ask")
    ask.write_text("#!/bin/sh\necho secret\n")
    ask.chmod(0o755)
    while not socket.exists():
        pass
    env = {**os.environ, "SSH_AUTH_SOCK": str(socket), "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
    for key in keys:
        subprocess.run(["ssh-add", str(key)], env=env, check=True, capture_output=True)
    return socket


async def test_an_agent_with_more_keys_than_a_server_takes(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    others = [tmp_path / str(number) for number in range(8)]
    for other in others:
        make_key(other)
    lock(USUAL)  # whose public half can still be read, though no file has it alone
    agent = str(start_agent(fleet, SSH / "agent", *others, USUAL))
    for more in ("", "  IdentityFile ~/.ssh/id_ed25519\n", "  IdentitiesOnly yes\n"):
        config(PLAIN + more, node)
        await reached("tower", SSH_AUTH_SOCK=agent)
    config(PLAIN + "  IdentityFile ~/.ssh/other\n", node)
    assert "Too many authentication failures" in str(await refused("tower", SSH_AUTH_SOCK=agent))


async def test_certificates_of_keys_that_the_agent_has(fleet: Fleet, tmp_path: Path) -> None:
    authority, key = tmp_path / "authority", SSH / "id_work"
    make_key(authority)
    make_key(key)
    node = fleet.node("tower", sshd=(f"TrustedUserCAKeys {authority}.pub",))
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    lock(key)
    agent = str(start_agent(fleet, SSH / "agent", key))
    words = ["ssh-keygen", "-q", "-s", str(authority), "-I", "x", "-n", getuser()]
    subprocess.run([*words, f"{key}.pub"], check=True, capture_output=True)
    config(PLAIN + "  IdentityFile ~/.ssh/id_work\n", node)
    await reached("tower", SSH_AUTH_SOCK=agent)
    (SSH / "id_work-cert.pub").rename(SSH / "issued")
    assert "refuses the keys that were offered" in str(await refused("tower", SSH_AUTH_SOCK=agent))
    for only in ("yes", "no"):
        named = "  IdentityFile ~/.ssh/id_work.pub\n  CertificateFile ~/.ssh/issued\n"
        config(PLAIN + f"{named}  IdentitiesOnly {only}\n", node)
        await reached("tower", SSH_AUTH_SOCK=agent)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("PubkeyAuthentication no", "has PubkeyAuthentication no for it, so that no key is offered"),
        ("PreferredAuthentications password", "has PreferredAuthentications password for it, so that no key"),
        ("IdentityFile none", "there is no SSH key to offer; type: "),
        ("IdentityFile ~/.ssh/lost", f"no SSH key to offer ({SSH}/lost: there is no such file); type: "),
        ("IdentityFile ~/.ssh/config", f"no SSH key to offer ({SSH}/config: it holds no private key"),
        ("HostKeyAlias other", "is not known: ssh-ed25519 SHA256:"),
    ],
)
async def test_a_configuration_that_leaves_no_way(fleet: Fleet, more: str, said: str) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    config(f"{PLAIN}  {more}\n", node)
    assert said in str(await refused("tower"))


async def test_an_agent_of_the_configuration_and_no_key_at_all(fleet: Fleet) -> None:
    node = fleet.node("tower")
    (SSH / "known_hosts").write_text(known(fleet, "tower"))
    lock(USUAL)
    config(PLAIN + "  IdentityAgent ~/.ssh/agent-%r\n", node)
    error = str(await refused("tower"))
    assert f"the key {USUAL} has a passphrase, and no SSH agent opens it; type: ssh-add {USUAL}" in error
    agent = start_agent(fleet, SSH / f"agent-{getuser()}", USUAL)
    await reached("tower")
    fleet.processes[-1].kill()
    assert f"no SSH agent opens it (the SSH agent at {agent}: Connection refused); type" in str(await refused("tower"))
    USUAL.unlink()
    config(PLAIN + "  IdentityAgent none\n", node)
    error = str(await refused("tower", SSH_AUTH_SOCK=str(agent)))
    assert "there is no SSH key to offer; type: ssh-keygen -t ed25519 && ssh-copy-id" in error


async def test_a_configuration_that_hangs(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_lab.engine.transports.ssh import config as ssh_config

    monkeypatch.setattr(ssh_config, "PATIENCE", 0.5)
    config('Match exec "sleep 100"\n  Port 2\n')
    way = SshTransport({"name": "x", "host": "tower"}, f"{LAB}-x", os.environ)
    with pytest.raises(ChannelError, match="`ssh -G -- tower` did not answer within 0 s"):
        await way.open_files()
    await way.close()
