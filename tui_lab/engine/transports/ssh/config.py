"""The user's SSH configuration for a host.

Where there is an `ssh`, it is asked (`ssh -G HOST`): no other program reads these files as it does, from `Match exec`
to what stands in /etc/ssh/ssh_config. Else asyncssh reads ~/.ssh/config.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncssh

from tui_lab.engine.transports.failures import ChannelError
from tui_lab.experiment.cluster.entry import NodeEntry

PATIENCE: Final = 20.0  # seconds for `ssh -G`, which may look up names and run commands of the configuration

# What asks for another way to read the files: an ssh older than `-G`, or a user that has no entry in passwd.
_NO_ANSWER: Final = re.compile(r"(illegal|unknown|invalid) option|No user exists", re.IGNORECASE)
_ON: Final = ("yes", "true")
_OFF: Final = ("no", "false", "none")


@dataclass
class Settings:
    """The configuration of one host. Keywords are in lower case; each has the texts that it was given, unexpanded.

    home: the folder that ~ stands for. defaults: what holds where nothing is set.
    """

    name: str  # as the user wrote it
    found: dict[str, list[str]]
    defaults: Mapping[str, list[str]]
    home: Path
    environment: Mapping[str, str]

    def text(self, keyword: str) -> str:
        """The value of a keyword; empty where there is none."""
        values = self.found.get(keyword, ())
        return values[0] if values and values[0].lower() != "none" else ""

    def chosen(self, keyword: str) -> str:
        """The value where the user chose it; empty where it is the default."""
        return "" if self.found.get(keyword) == self.defaults.get(keyword) else self.text(keyword)

    def on(self, keyword: str) -> bool:
        """Return whether a setting is switched on."""
        return self.text(keyword).lower() in _ON

    def off(self, keyword: str) -> bool:
        """Return whether a setting is switched off."""
        return self.text(keyword).lower() in _OFF

    def number(self, keyword: str) -> float:
        """A chosen number of seconds or times, 0 where there is none."""
        text = self.chosen(keyword)
        return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0

    @property
    def host(self) -> str:
        """The host to connect to."""
        return self.text("hostname") or self.name

    @property
    def port(self) -> int:
        """The port, 22 by default."""
        text = self.text("port")
        return int(text) if text.isdigit() else 22

    @property
    def user(self) -> str:
        """The name of the user there."""
        return self.text("user") or _user()

    def paths(self, keyword: str) -> list[Path]:
        """The files that a keyword names, one in each of its texts."""
        texts = self.found.get(keyword, [])
        return [self.path(text) for text in texts if text.lower() != "none"]

    def several_paths(self, keyword: str) -> list[Path]:
        """The files of a keyword that takes several; `ssh -G` puts them on one line, and quotes no blanks."""
        found: list[Path] = []
        for text in self.found.get(keyword, []):
            words = [] if text.lower() == "none" else text.split(" ")
            while words:
                lengths = range(len(words), 0, -1)
                there = (n for n in lengths if self.path(" ".join(words[:n])).exists())
                count = next(there, 1)
                found.append(self.path(" ".join(words[:count])))
                del words[:count]
        return found

    def path(self, text: str) -> Path:
        """A path with its tokens, variables and ~ put in; relative to nothing but home, for engines start anywhere."""
        known = self.environment
        path = self.expand(re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], found[0]), text))
        if path == "~" or path.startswith("~/"):
            return self.home / path[2:]
        return self.home / Path(path).expanduser()

    def expand(self, text: str, **more: str) -> str:
        """Put the values of tokens such as %h into a text. more: tokens of one keyword alone."""
        tokens = self._tokens | more
        return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)

    @functools.cached_property
    def _tokens(self) -> dict[str, str]:
        local, jump = os.uname().nodename, self.text("proxyjump")
        port, user = str(self.port), self.user
        together = "".join((local, self.host, port, user, jump))
        return {
            "%": "%",
            "C": hashlib.sha1(together.encode(), usedforsecurity=False).hexdigest(),
            "d": str(self.home),
            "h": self.host,
            "i": str(os.getuid()),
            "j": jump,
            "k": self.text("hostkeyalias") or self.name,
            "L": local.partition(".")[0],
            "l": local,
            "n": self.name,
            "p": port,
            "r": user,
            "u": _user(),
        }


def read_settings(entry: NodeEntry, environment: Mapping[str, str]) -> Settings:
    """What holds for the host of an entry; what the entry itself says of user and port goes before it. environment:
    the submitter's. May take a while; raises ChannelError."""
    ssh = find_ssh(environment)
    if ssh is not None:
        known = {"PATH": _path(environment), **environment} if environment else dict(os.environ)
        words = [f"-p{entry['port']}"] if entry.get("port") else []
        words += [f"-l{entry['user']}"] if entry.get("user") else []
        found = _ask(ssh, [*words, "--", entry["host"]], known)
        if found is not None:
            return Settings(entry["host"], found, _defaults(ssh), _home() or _home_of(environment), known)
    return _read_files(entry, environment)


def find_ssh(environment: Mapping[str, str]) -> str | None:
    """The submitter's `ssh`, where it is OpenSSH's. May take a while."""
    ssh = shutil.which("ssh", path=_path(environment))
    return ssh if ssh is not None and _is_openssh(ssh) else None


def _path(environment: Mapping[str, str]) -> str:
    return environment.get("PATH", os.environ.get("PATH", os.defpath))


def _ask(ssh: str, words: Sequence[str], environment: Mapping[str, str]) -> dict[str, list[str]] | None:
    """What `ssh -G` answers; None where this ssh, or this user, gets no answer. Raises ChannelError."""
    process = subprocess.Popen(
        [ssh, "-G", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        answer, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # what `Match exec` has started, too
        process.communicate()
        shown = " ".join(["ssh -G", *words])
        raise ChannelError(f"`{shown}` did not answer within {PATIENCE:.0f} s: what does ~/.ssh/config run?") from None
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    if process.returncode != 0:
        if any(map(_NO_ANSWER.search, lines)):
            return None
        texts = [line for line in lines if "terminating" not in line] or [f"ssh -G: exit status {process.returncode}"]
        raise ChannelError("; ".join(texts[-2:]), fatal=True)
    found: dict[str, list[str]] = {}
    for line in answer.decode(errors="surrogateescape").splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), []).append(value)
    return found


@functools.cache
def _is_openssh(ssh: str) -> bool:
    """Others take `-G` for something else, and would log in."""
    try:
        said = subprocess.run([ssh, "-V"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"OpenSSH" in said.stderr + said.stdout


@functools.cache
def _defaults(ssh: str) -> Mapping[str, list[str]]:
    """What holds without any configuration."""
    return _ask(ssh, ["-F", "/dev/null", "--", "localhost"], os.environ) or {}


def _read_files(entry: NodeEntry, environment: Mapping[str, str]) -> Settings:
    """The same as asyncssh reads it. Raises ChannelError."""
    home = _home_of(environment)
    file = home / ".ssh" / "config"
    try:
        options = asyncssh.SSHClientConnectionOptions(
            config=[str(file)] if os.access(file, os.R_OK) else [],
            host=entry["host"],
            port=entry.get("port") or (),
            username=entry.get("user") or (),
            known_hosts=None,
            client_keys=None,
            x509_trusted_certs=None,
        )
    except (ValueError, OSError) as error:  # asyncssh's own errors of configuration are ValueErrors
        raise ChannelError(f"{file}: {error}", fatal=True) from None
    found = {
        keyword.lower(): [_text(one) for one in value] if isinstance(value, list | tuple) else [_text(value)]
        for keyword, value in options.config.get_options(False).items()
    }
    families = {int(socket.AF_INET): "inet", int(socket.AF_INET6): "inet6"}
    found["addressfamily"] = [families.get(int(options.family), "any")]
    found |= {"hostname": [options.host], "port": [str(options.port)], "user": [options.username]}
    folder = home / ".ssh"
    defaults = {
        "identityfile": [str(folder / f"id_{kind}") for kind in ("ed25519", "ecdsa", "rsa", "ed25519_sk", "ecdsa_sk")],
        "userknownhostsfile": [str(folder / "known_hosts"), str(folder / "known_hosts2")],
        "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"],
    }
    return Settings(entry["host"], {**defaults, **found}, defaults, home, environment or os.environ)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _home() -> Path | None:
    """As ssh has it: from passwd, whatever HOME says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _home_of(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or Path.home())


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or str(os.getuid())
