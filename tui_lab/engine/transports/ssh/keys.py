"""The keys that are offered to a machine, in ssh's order: those that the SSH agent has and a file names, the others of
the agent, then those that only files have. A server ends a login after a few, so the order matters."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncssh

from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.config import Settings
from tui_lab.experiment.cluster.entry import NodeEntry

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0  # seconds for the SSH agent to list its keys


@dataclass
class Identities:
    """The keys with which the user can log in to one machine."""

    pairs: list[asyncssh.SSHKeyPair]  # of files that can be read as they are
    public: set[bytes]  # the public halves of all files, also of those with a passphrase
    certificates: list[asyncssh.SSHCertificate]
    files: list[str]  # whose keys are offered
    locked: dict[str, bytes]  # with a passphrase; their public halves as far as they are known
    unusable: list[str]  # that the user chose: "FILE: why"
    agent: str  # the socket of the SSH agent; empty where it is not asked
    only: bool  # of the agent's keys those alone that a file names
    forbidden: str  # the words of the configuration that allow no key
    silent: str = ""  # why the SSH agent gave no answer, at the last try

    @contextlib.asynccontextmanager
    async def offered(self) -> AsyncIterator[list[asyncssh.SSHKeyPair]]:
        """The keys to offer, as long as the SSH agent is open to sign with its own."""
        async with contextlib.AsyncExitStack() as stack:
            held: list[asyncssh.SSHKeyPair] = []
            if self.agent and not self.forbidden:
                try:
                    async with asyncio.timeout(PATIENCE):
                        client = await asyncssh.connect_agent(self.agent)
                        stack.push_async_callback(_close, client)
                        held = list(await client.get_keys())
                except (OSError, ValueError) as error:  # a TimeoutError is an OSError
                    why = getattr(error, "strerror", None) or str(error) or "no answer"
                    self.silent = f"the SSH agent at {self.agent}: {why}"
                    log.warning("%s", self.silent)
            yield [] if self.forbidden else self._in_order(held)

    def _in_order(self, held: Sequence[asyncssh.SSHKeyPair]) -> list[asyncssh.SSHKeyPair]:
        certificates = {certificate.public_data for certificate in self.certificates}
        certified = []
        for pair in held:
            for certificate in self.certificates:
                if certificate.key.public_data == pair.public_data:
                    certified.append(copy.copy(pair))
                    certified[-1].set_certificate(certificate)
        named = [pair for pair in held if pair.public_data in self.public | certificates]
        others = [] if self.only else [pair for pair in held if pair not in named]
        there = {pair.public_data for pair in (*certified, *held)}
        return [*certified, *named, *others, *(pair for pair in self.pairs if pair.public_data not in there)]


async def _close(client: asyncssh.SSHAgentClient) -> None:
    client.close()
    with contextlib.suppress(OSError):
        await client.wait_closed()


def find_identities(entry: NodeEntry, settings: Settings, home: Path) -> Identities:
    """What the entry of a node and the user's configuration name. Reads files; raises ChannelError where the entry
    names a key that can't be used."""
    named = bool(entry.get("key"))
    files = [own_path(entry["key"], home)] if named else settings.paths("identityfile")
    chosen = named or bool(settings.found.get("identityfile") != settings.defaults.get("identityfile"))
    found = Identities([], set(), [], [], {}, [], "", settings.on("identitiesonly"), _forbidden(settings))
    names = [str(path) for path in (*settings.paths("certificatefile"), *map(_certificate, files))]
    found.certificates = [one for name in names for one in _load_certificates(name)]
    for path in files:
        public = _load_public(path)
        found.public |= {public} if public else set()
        if path.suffix == ".pub" or (public and not path.exists()):
            continue  # the SSH agent has the other half
        try:
            pairs = list(asyncssh.load_keypairs(str(path), certlist=found.certificates, ignore_encrypted=True))
        except (OSError, ValueError) as error:
            why = _why(error)
            if named:
                raise ChannelError(f"its key {path}: {why}", fatal=True) from None
            found.unusable += [f"{path}: {why}"] if chosen else []
            continue
        found.pairs += pairs
        if pairs:
            found.files.append(str(path))
        else:
            found.locked[str(path)] = public
    # An agent with many keys would use up the tries that a server allows: of a node's own key it is asked that one.
    found.only = bool(found.only or (named and (found.public or found.pairs)))
    found.agent = _agent(settings)
    return found


def own_path(path: str, home: Path) -> Path:
    """A path of an entry with ~ and relative to nothing but home: engines start anywhere."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return home / Path(path).expanduser()


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"it holds no private key ({error})"


def _forbidden(settings: Settings) -> str:
    if settings.off("pubkeyauthentication"):
        return "PubkeyAuthentication no"
    methods = settings.chosen("preferredauthentications")
    if methods and "publickey" not in methods.split(","):
        return f"PreferredAuthentications {methods}"
    return ""


def _certificate(path: Path) -> Path:
    return Path(f"{str(path).removesuffix('.pub')}-cert.pub")


def _load_certificates(name: str) -> list[asyncssh.SSHCertificate]:
    try:
        return list(asyncssh.load_certificates(name))
    except (OSError, ValueError):
        return []


def _load_public(path: Path) -> bytes:
    """The public half: of the file beside, or of the part of the private one that needs no passphrase; empty where
    neither can be read."""
    beside = [] if path.suffix == ".pub" else [Path(f"{path}.pub")]
    for one in (*beside, path):
        try:
            return asyncssh.read_public_key(str(one)).public_data
        except (OSError, ValueError):
            continue
    return b""


def _agent(settings: Settings) -> str:
    """The socket of the SSH agent; empty where there is none."""
    chosen = settings.found.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    if chosen == "none":
        return ""
    if chosen == "SSH_AUTH_SOCK" or chosen.startswith("$"):
        chosen = settings.environment.get(chosen.strip("${}"), "")
    path = str(settings.path(chosen)) if chosen else ""
    return path if path and Path(path).exists() else ""
