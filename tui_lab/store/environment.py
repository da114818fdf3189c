"""The environment in which tasks ran, kept beside an experiment: `environment/HASH.json`, named by its content.

Equal facts are one file, however often they are captured. What looks secret is never written: variables by their
names, texts by what secrets look like.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tui_lab.store import layout
from tui_lab.store.errors import storage_error

MASK: Final = "***"

_WORDS: Final = (
    r"pass(?:word|wd|phrase)|(?<![a-z])pwd?(?![a-z])|secret|token(?![a-rt-z])|credential|bearer|cookie|session[_.-]?id"
    r"|(?:api|access|auth|private|signing|account|encryption)[_.-]?keys?(?![a-z])|(?<![a-z])auth(?![a-z])|authorization"
    r"|database_url|(?<![a-z])dsn(?![a-z])|conn(?:ection)?_str"
)
_SECRET_NAME: Final = re.compile(_WORDS, re.IGNORECASE)
# `NAME = value`, `"name": "value"`, `export NAME=value`: the value goes, but not a small number: `max_tokens: 512`.
_ASSIGNED: Final = re.compile(
    rf"""(?P<keep>(?:{_WORDS})[\w.-]{{0,40}}["']?[ \t]{{0,8}}(?:=>?|:)[ \t]{{0,8}}(?:bearer |basic )?)"""
    r"""(?:"[^"\n]+"|'[^'\n]+'|(?!\d{1,6}\b)[^\s,;()"']{4,})""",
    re.IGNORECASE,
)
# What is a secret wherever it stands: passwords in addresses, and the keys of well-known services.
_TELLING: Final = re.compile(
    r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"
    r"|\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}"
    r"|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\bA(?:KIA|SIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
)
# `--token value` within a command, but not a placeholder or the next option.
_OPTION: Final = re.compile(rf"(?P<keep>--?[\w-]{{0,40}}(?:{_WORDS})[\w-]{{0,40}}[ \t]+)(?![-{{$])\S+", re.IGNORECASE)
_NAMED: Final = re.compile(r"(-{0,2}[\w.-]+)=(.+)", re.DOTALL)
_SMALL: Final = re.compile(r"\d{1,6}")
_KEY_BLOCK: Final = re.compile(
    r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----).*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
)


def capture(experiment: Path, facts: Mapping[str, Any]) -> str:
    """Keep facts (what git says, or what a node is: JSON of any shape) in an experiment's folder; the digest that names
    them. Only for who may write there: the holder of the submit lock, or of the engine's. Of `variables`, where there
    are any, those that look secret are left out. Raises StorageError.
    """
    if isinstance(facts.get("variables"), Mapping):
        facts = {**facts, "variables": public(facts["variables"])}
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, indent=1) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = _path(experiment, digest)
    if path.exists():
        return digest
    partial = path.with_name(f"{digest[:16]}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="ascii")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise storage_error(path.parent, error) from error
    return digest


def load(experiment: Path, digest: object) -> dict[str, Any]:
    """Return the facts of a digest, as JSON; nothing where they don't exist any more."""
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        return {}
    try:
        facts = json.loads(_path(experiment, digest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _path(experiment: Path, digest: str) -> Path:
    return experiment / layout.ENVIRONMENT / f"{digest}.json"


def looks_secret(name: str) -> bool:
    """Whether a variable of this name may hold a secret."""
    return _SECRET_NAME.search(name) is not None


def public(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may be written; secrets inside the values of the others are masked."""
    return {name: without_secrets(value) for name, value in variables.items() if not looks_secret(name)}


def without_secrets(text: str) -> str:
    """Return a text with what looks secret replaced by asterisks."""
    text = _KEY_BLOCK.sub(rf"\1 {MASK}", text)
    text = _TELLING.sub(MASK, text)
    return _ASSIGNED.sub(lambda match: match["keep"] + MASK, text)


def public_words(words: Iterable[str]) -> list[str]:
    """Return a command line that may be written: values of options and parameters whose names look secret are masked,
    and bytes that are not UTF-8 replaced."""
    shown: list[str] = []
    hiding = False  # what follows are the values of a name that looks secret
    before = ""
    for word in words:
        text = word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        named = _NAMED.fullmatch(text)
        hiding = hiding and not text.startswith("-")
        if hiding:
            shown.append(MASK)
        elif named is not None and looks_secret(named[1]) and not _SMALL.fullmatch(named[2]):
            shown.append(f"{named[1]}={MASK}")
        else:
            shown.append(_OPTION.sub(lambda match: match["keep"] + MASK, without_secrets(text)))
            names = text.startswith("-") or before.startswith("--v")  # an option, or a parameter of `explore`
            hiding = names and named is None and looks_secret(text)
        before = text
    return shown
