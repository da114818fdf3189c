"""How a node is reached by SSH: its entry, ~/.ssh/config, keys, the SSH agent and known_hosts put together.

Everything is read anew for each connection: what a person mends is in force at the next try.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncssh
from asyncssh.public_key import get_default_public_key_algs

from tui_lab.engine.transports.failures import ChannelError

CONNECT: Final = 20.0  # seconds for a connection, its handshake and the login
KEEPALIVE: Final = (10.0, 3)  # seconds between signs of life; so many unanswered end the connection

_DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_KNOWN: Final = ("known_hosts", "known_hosts2")
_GLOBAL_KNOWN: Final = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@dataclass
class Target:
    """One machine to log in to: the node, or one on the way to it."""

    name: str  # as the person wrote it: an alias, a host name, an address
    entry: Mapping[str, Any]
    host: str
    port: int
    user: str
    alias: str  # its name in known_hosts
    jumps: tuple[str, ...]  # [USER@]HOST[:PORT], the first one first
    known_files: list[Path]
    known: asyncssh.SSHKnownHosts
    keys: list[str]  # files whose keys are offered
    locked: list[str]  # files with keys that have a passphrase
    agent: str  # socket of the SSH agent
    met: list[asyncssh.SSHKey]  # host keys that were shown to us and are not known
    arguments: dict[str, Any]  # for asyncssh.connect

    @property
    def place(self) -> str:
        return f"{self.host} port {self.port}"

    @property
    def known_keys(self) -> list[asyncssh.SSHKey]:
        """The host keys that it may have."""
        return list(self._match()[0])

    @property
    def vouched(self) -> bool:
        """Whether a certificate authority may vouch for its host key."""
        return bool(self._match()[1])

    def _match(self) -> Sequence[Any]:
        return self.known.match(self.alias, "", self.port if self.port != 22 else None)

    def words(self, *options: str) -> str:
        """What a person types behind `ssh` to get there."""
        words = [*options, *([f"-p {self.entry['port']}"] if self.entry.get("port") else [])]
        if self.entry.get("known_hosts"):
            words.append(f"-o UserKnownHostsFile={self.entry['known_hosts']}")
        user = f"{self.entry['user']}@" if self.entry.get("user") else ""
        return " ".join([*words, user + self.name])


class _Watching(asyncssh.SSHClient):
    """Takes note of a host key that is not known; it is never accepted."""

    def __init__(self, met: list[asyncssh.SSHKey]) -> None:
        self.met = met

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.met.append(key)
        return False


def find_target(entry: Mapping[str, Any], environment: Mapping[str, str]) -> Target:
    """Put an entry of a node together with the person's SSH configuration. Reads files; raises ChannelError."""
    home = Path(environment.get("HOME") or Path.home())
    config_file = home / ".ssh" / "config"
    who = {
        "config": [str(config_file)] if os.access(config_file, os.R_OK) else [],
        "host": entry["host"],
        "port": entry.get("port") or (),
        "username": entry.get("user") or (),
        "tunnel": None,
        "x509_trusted_certs": None,
    }
    try:
        bare = asyncssh.SSHClientConnectionOptions(**who, known_hosts=None, client_keys=None)
    except (ValueError, OSError) as error:  # asyncssh's own errors of configuration are ValueErrors
        raise ChannelError(f"{config_file}: {error}", fatal=True) from None
    settings = bare.config
    known_files = [_expanded(path, home) for path in _known_files(entry, settings, home)]
    known = _read_known(known_files)
    offered, locked, pairs = [], [], []
    files = _key_files(entry, settings, home)
    for path in files:
        found = _load_key(path, named=bool(entry.get("key")))
        if found is None:
            locked.append(str(path))
        elif found:
            offered.append(str(path))
            pairs += found
    public = [str(half) for path in files if (half := _public(path)).exists()]
    # An agent with many keys would use up the tries that a server allows: of a node's own key it is asked that one.
    only = settings.get("IdentitiesOnly") or (entry.get("key") and (public or not locked))
    agent = "" if only and not public else _agent(settings, environment)
    met: list[asyncssh.SSHKey] = []
    arguments = {
        **who,
        "known_hosts": known,
        "client_keys": pairs,
        "agent_path": agent,
        "agent_identities": public if only and public else None,
        "password_auth": False,
        "kbdint_auth": False,
        "agent_forwarding": False,
        "client_factory": lambda: _Watching(met),
        "connect_timeout": CONNECT,
        "login_timeout": CONNECT,
        "keepalive_interval": settings.get("ServerAliveInterval") or KEEPALIVE[0],
        "keepalive_count_max": settings.get("ServerAliveCountMax") or KEEPALIVE[1],
    }
    jumps = tuple(part.strip() for part in str(settings.get("ProxyJump") or "").split(",") if part.strip())
    target = Target(
        name=entry["host"],
        entry=entry,
        host=bare.host,
        port=bare.port,
        user=bare.username,
        alias=str(settings.get("HostKeyAlias") or bare.host),
        jumps=jumps,
        known_files=known_files,
        known=known,
        keys=offered,
        locked=locked,
        agent=agent,
        met=met,
        arguments=arguments,
    )
    if target.known_keys and not target.vouched and not settings.get("HostKeyAlgorithms"):
        # Those of the known keys first. Others, too: a key that has changed is then shown, and can be told.
        first = [name for key in target.known_keys for name in key.sig_algorithms]
        names = dict.fromkeys([*first, *get_default_public_key_algs()])
        arguments["server_host_key_algs"] = [name.decode() for name in names]
    return target


def jump_entry(text: str) -> dict[str, Any]:
    """The entry of a machine on the way, from `[USER@]HOST[:PORT]` or an address in brackets."""
    user, _, place = text.removeprefix("ssh://").rpartition("@")
    match = re.fullmatch(r"\[([^]]*)\](?::(\d+))?|([^:]*)(?::(\d+))?|(.*)", place)
    assert match is not None
    port = match[2] or match[4]
    return {"host": match[1] or match[3] or match[5], "user": user, "port": int(port) if port else None}


def _expanded(path: str, home: Path) -> Path:
    """A path with ~ and relative to nothing but home: engines start anywhere."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return home / Path(path).expanduser()


def _known_files(entry: Mapping[str, Any], settings: Any, home: Path) -> Iterator[str]:
    if entry.get("known_hosts"):
        yield entry["known_hosts"]
        return
    users = settings.get("UserKnownHostsFile")
    yield from (str(home / ".ssh" / name) for name in _KNOWN) if users is None else users
    yield from settings.get("GlobalKnownHostsFile") or _GLOBAL_KNOWN


def _read_known(files: list[Path]) -> asyncssh.SSHKnownHosts:
    """The hosts of all files that are there; a line that can't be read does not hide the others."""
    known = asyncssh.SSHKnownHosts()
    for path in files:
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                known.load(line)
            except ValueError:
                continue
    return known


def _agent(settings: Any, environment: Mapping[str, str]) -> str:
    """The socket of the SSH agent; empty where there is none."""
    chosen = settings.get("IdentityAgent", "SSH_AUTH_SOCK")
    if chosen == "SSH_AUTH_SOCK":
        chosen = environment.get("SSH_AUTH_SOCK")
    elif isinstance(chosen, str) and chosen.startswith("$"):
        chosen = environment.get(chosen.strip("${}"))
    path = str(Path(chosen).expanduser()) if chosen else ""
    return path if path and Path(path).exists() else ""


def _key_files(entry: Mapping[str, Any], settings: Any, home: Path) -> list[Path]:
    if entry.get("key"):
        return [_expanded(entry["key"], home)]
    named = settings.get("IdentityFile")
    found = [home / ".ssh" / name for name in _DEFAULT_KEYS] if named is None else [_expanded(n, home) for n in named]
    return [path for path in found if path.exists() or _public(path).exists()]


def _public(path: Path) -> Path:
    """The public half of a key; an entry may name that alone, where the SSH agent has the other."""
    return path if path.suffix == ".pub" else Path(f"{path}.pub")


def _load_key(path: Path, *, named: bool) -> list[asyncssh.SSHKeyPair] | None:
    """The key in a file, with its certificate; None where it has a passphrase, empty where it is none of ours to
    judge. Raises ChannelError where the entry names it."""
    if path.suffix == ".pub" or (not path.exists() and _public(path).exists()):
        return []
    try:
        return list(asyncssh.load_keypairs(str(path), ignore_encrypted=True)) or None
    except FileNotFoundError:
        why = "there is no such file"
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = f"it holds no private key ({error})"
    if named:
        raise ChannelError(f"its key {path}: {why}", fatal=True)
    return []
