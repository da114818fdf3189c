"""How a node is reached by SSH: its entry, the SSH configuration, keys, the SSH agent and known_hosts put together.

Everything is read anew for each connection: what the user repairs counts at the next try.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncssh
from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import (
    get_certificate_algs,
    get_default_certificate_algs,
    get_default_public_key_algs,
    get_public_key_algs,
)

from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.config import Settings, read_settings
from tui_lab.engine.transports.ssh.keys import Identities, find_identities, own_path
from tui_lab.experiment.cluster.entry import NodeEntry

CONNECT: Final = 20.0  # seconds for a connection, its handshake and the login
KEEPALIVE: Final = (10.0, 3)  # seconds between signs of life; so many unanswered end the connection

_FAMILIES: Final = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_NOT_HERE: Final = ("bindinterface", "pkcs11provider")  # keywords that change the way there, and can't be followed


class _Watching(asyncssh.SSHClient):
    """Takes note of a host key that is not known; it is never accepted, but on this machine where the user's
    configuration asks for no check there."""

    def __init__(self, seen_keys: list[asyncssh.SSHKey], *, loopback: bool) -> None:
        self.seen_keys = seen_keys
        self.loopback = loopback
        self.methods: list[str] = []  # of logging in, that were left when no key was
        self.on_end: Callable[[], None] = lambda: None
        self._connection: asyncssh.SSHClientConnection

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def public_key_auth_requested(self) -> None:
        """There is no further key."""
        self.methods = list(self._connection.get_server_auth_methods())

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if not self.loopback:
            self.seen_keys.append(key)
        return self.loopback

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_end()


Arguments: TypeAlias = dict[str, Any]
"""Keyword arguments of asyncssh.connect, which has their types."""


@dataclass
class Target:
    """One machine to log in to: the node, or one on the way to it."""

    name: str  # as the user wrote it: an alias, a host name, an address
    entry: NodeEntry
    settings: Settings
    host: str
    port: int
    user: str
    alias: str  # its name in known_hosts
    jumps: tuple[str, ...]  # [USER@]HOST[:PORT], the first one first
    proxy: str  # the command line whose standard input and output lead there, empty for a connection of our own
    known_files: list[Path]
    known: asyncssh.SSHKnownHosts
    identities: Identities
    skipped: list[str]  # what the configuration says and this can't do
    seen_keys: list[asyncssh.SSHKey]  # host keys that were shown to us and are not known
    client: _Watching
    patience: float  # seconds for the connection
    arguments: Arguments
    offered: set[bytes] = field(default_factory=set)  # public halves of keys, at the last try

    @property
    def variables(self) -> dict[str, str]:
        """Those of SetEnv, for commands there; the server takes what its AcceptEnv names."""
        texts = self.settings.found.get("setenv", ())
        pairs = (text.partition("=") for text in texts if text == text.encode(errors="ignore").decode())
        return {name: value for name, equals, value in pairs if equals}

    @property
    def place(self) -> str:
        """The host and the port, for messages."""
        return f"{self.host} port {self.port}"

    @property
    def known_keys(self) -> list[asyncssh.SSHKey]:
        """The host keys that it may have."""
        return list(self._match()[0])

    @property
    def has_authority(self) -> bool:
        """Whether a certificate authority may sign its host key."""
        return bool(self._match()[1])

    def known_lines(self) -> list[str]:
        """Where the host keys stand that it may have, as FILE:LINE."""
        return [
            f"{path}:{number}"
            for path in self.known_files
            for number, line in enumerate(_lines(path), 1)
            if any(self._matches(line)[:2])
        ]

    def _matches(self, line: str) -> Sequence[Any]:
        known = asyncssh.SSHKnownHosts()
        _load_lines(known, [line])
        return known.match(self.alias, "", self.port if self.port != 22 else None)

    def _match(self) -> Sequence[Any]:
        return self.known.match(self.alias, "", self.port if self.port != 22 else None)

    def words(self, *options: str) -> str:
        """What the user types behind `ssh` to get there."""
        words = [*options, *([f"-p {self.entry['port']}"] if self.entry.get("port") else [])]
        if self.entry.get("known_hosts"):
            words.append(f"-o UserKnownHostsFile={self.entry['known_hosts']}")
        user = f"{self.entry['user']}@" if self.entry.get("user") else ""
        return " ".join([*words, user + self.name])


def find_target(entry: NodeEntry, environment: Mapping[str, str]) -> Target:
    """Put an entry of a node together with the user's SSH configuration. Reads files and may run programs; raises
    ChannelError."""
    settings = read_settings(entry, environment)
    home = Path(environment.get("HOME") or Path.home())
    known_files = (
        [own_path(entry["known_hosts"], home)]
        if entry.get("known_hosts")
        else [
            *settings.several_paths("userknownhostsfile"),
            *settings.several_paths("globalknownhostsfile"),
        ]
    )
    known = _read_known(known_files)
    _revoke(known, settings)
    identities = find_identities(entry, settings, home)
    seen_keys: list[asyncssh.SSHKey] = []
    client = _Watching(
        seen_keys, loopback=settings.on("nohostauthenticationforlocalhost") and _is_loopback(settings.host)
    )
    algorithms, unknown = _algorithms(settings)
    patience = settings.number("connecttimeout") or CONNECT
    arguments: Arguments = {
        "config": None,
        "host": settings.host,
        "port": settings.port,
        "username": settings.user,
        "x509_trusted_certs": None,
        # Not by the address that a name has: that one may be of any machine.
        "known_hosts": lambda host, address, port: known.match(host, "", port),
        "host_key_alias": settings.text("hostkeyalias") or None,
        "agent_path": None,
        "public_key_auth": True,
        "password_auth": False,
        "kbdint_auth": False,
        "gss_auth": settings.on("gssapiauthentication"),
        "gss_kex": settings.on("gssapikeyexchange"),
        "gss_delegate_creds": settings.on("gssapidelegatecredentials"),
        "agent_forwarding": False,
        "client_factory": lambda: client,
        "connect_timeout": patience,
        "login_timeout": max(CONNECT, patience),
        "keepalive_interval": settings.number("serveraliveinterval") or KEEPALIVE[0],
        "keepalive_count_max": int(settings.number("serveralivecountmax")) or KEEPALIVE[1],
        "tcp_keepalive": not settings.off("tcpkeepalive"),
        **algorithms,
    }
    if chosen := settings.chosen("preferredauthentications"):
        arguments["preferred_auth"] = chosen.split(",")
    if family := _FAMILIES.get(settings.text("addressfamily")):
        arguments["family"] = family
    if address := settings.text("bindaddress"):
        arguments["local_addr"] = (address, 0)
    ways = settings.text("proxyjump")
    target = Target(
        name=entry["host"],
        entry=entry,
        settings=settings,
        host=settings.host,
        port=settings.port,
        user=settings.user,
        alias=settings.text("hostkeyalias") or settings.host,
        jumps=tuple(part.strip() for part in ways.split(",") if part.strip()),
        proxy=settings.expand(settings.text("proxycommand")),
        known_files=known_files,
        known=known,
        identities=identities,
        skipped=[*unknown, *(word for word in _NOT_HERE if settings.chosen(word))],
        seen_keys=seen_keys,
        client=client,
        patience=patience,
        arguments=arguments,
    )
    ask_known_hosts(target)
    return target


def prefer_known(target: Target) -> None:
    """Ask the server for host keys of the kinds that are known first, as ssh does. Others, too: a key that has changed
    is then shown, and can be reported."""
    chosen = target.arguments.get("server_host_key_algs")
    allowed = chosen or [name.decode() for name in (*get_default_certificate_algs(), *get_default_public_key_algs())]
    certified = {name.decode() for name in get_certificate_algs()}
    first = [name.decode() for key in target.known_keys for name in key.sig_algorithms]
    if target.has_authority:
        first = [name for name in allowed if name in certified] + first
    else:  # an unknown certificate would hide the key in it
        allowed = [name for name in allowed if name not in certified] or allowed
    names = dict.fromkeys(name for name in [*first, *allowed] if name in allowed or not chosen)
    target.arguments["server_host_key_algs"] = list(names)


def ask_known_hosts(target: Target, key: asyncssh.SSHKey | None = None) -> None:
    """Run what KnownHostsCommand names, and take the host keys that it prints for known. key: the one that the server
    has shown; without it, so that its kinds are asked for first. May take a while; raises ChannelError."""
    settings = target.settings
    command = settings.text("knownhostscommand")
    if command and not target.entry.get("known_hosts"):
        place = target.alias if target.port == 22 or target.alias != target.host else f"[{target.host}]:{target.port}"
        said = key.export_public_key().decode().split() if key is not None else ["NONE", "NONE"]
        more = {
            "H": target.alias if key is None else place,
            "I": "ORDER" if key is None else "HOSTNAME",
            "K": said[1],
            "f": key.get_fingerprint() if key is not None else "NONE",
            "t": said[0],
        }
        try:
            words = [settings.expand(word, **more) for word in shlex.split(command)]
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=dict(settings.environment),
                timeout=CONNECT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ChannelError(f"KnownHostsCommand {command}: no answer within {CONNECT:.0f} s") from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise ChannelError(f"KnownHostsCommand {command}: {why}", fatal=True) from None
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            said_last = last[0] if last else f"exit status {done.returncode}"
            raise ChannelError(f"KnownHostsCommand {command}: {said_last}", fatal=True)
        _load_lines(target.known, done.stdout.decode(errors="replace").splitlines())
    prefer_known(target)


def jump_entry(text: str) -> NodeEntry:
    """The entry of a jump host, from `[USER@]HOST[:PORT]` or an address in brackets."""
    user, _, place = text.removeprefix("ssh://").rpartition("@")
    match = re.fullmatch(r"\[([^]]*)\](?::(\d+))?|([^:]*)(?::(\d+))?|(.*)", place)
    assert match is not None
    port = match[2] or match[4]
    entry: NodeEntry = {"host": match[1] or match[3] or match[5], "user": user}
    if port:
        entry["port"] = int(port)
    return entry


def _read_known(files: list[Path]) -> asyncssh.SSHKnownHosts:
    """The hosts of all files that are there; a line that can't be read does not hide the others."""
    known = asyncssh.SSHKnownHosts()
    for path in files:
        _load_lines(known, _lines(path))
    return known


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _load_lines(known: asyncssh.SSHKnownHosts, lines: Sequence[str]) -> None:
    for line in lines:
        try:
            known.load(line)
        except ValueError:
            continue


def _revoke(known: asyncssh.SSHKnownHosts, settings: Settings) -> None:
    """Take the keys of RevokedHostKeys as revoked. Raises ChannelError where they can't be read, as no key may be
    trusted then."""
    for path in settings.paths("revokedhostkeys"):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ChannelError(f"RevokedHostKeys {path}: {error.strerror}", fatal=True) from None
        if data.startswith(b"SSHKRL\n"):
            what = "a key revocation list; tui-lab reads public keys, one a line"
            raise ChannelError(f"RevokedHostKeys {path}: {what}", fatal=True)
        lines = data.decode(errors="replace").splitlines()
        _load_lines(known, [f"@revoked * {line}" for line in lines if line.strip() and not line.startswith("#")])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _algorithms(settings: Settings) -> tuple[dict[str, list[str]], list[str]]:
    """The algorithms that the user has chosen, for asyncssh; and those that it does not know."""
    known = {
        "ciphers": ("encryption_algs", get_encryption_algs()),
        "macs": ("mac_algs", get_mac_algs()),
        "kexalgorithms": ("kex_algs", get_kex_algs()),
        "hostkeyalgorithms": ("server_host_key_algs", [*get_certificate_algs(), *get_public_key_algs()]),
        "pubkeyacceptedalgorithms": ("signature_algs", get_public_key_algs()),
    }
    found: dict[str, list[str]] = {}
    unknown = []
    for keyword, (argument, names) in known.items():
        chosen = settings.chosen(keyword).split(",")
        usable = [name for name in chosen if name.encode() in names]
        if usable:
            found[argument] = usable
        elif any(chosen):
            unknown.append(f"{keyword} {','.join(chosen)}")
    if settings.on("compression"):
        found["compression_algs"] = ["zlib@openssh.com", "none"]
    return found, unknown
