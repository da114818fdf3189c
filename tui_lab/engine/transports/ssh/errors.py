"""Errors of SSH as messages for users: what is wrong, and what to type."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import Final

import asyncssh

from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.options import Target

# The server hung up before it had asked who we are: it has too many logins under way, or is just starting.
HUNG_UP: Final = (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)


def explain(error: BaseException, target: Target) -> ChannelError:
    """The ChannelError for what came out of a try to connect."""
    if isinstance(error, ChannelError):
        return error
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _host_key(str(error), target)
    if isinstance(error, asyncssh.PermissionDenied):
        return _refused(target)
    if isinstance(error, asyncssh.ChannelOpenError):
        return ChannelError(f"the jump host can't reach {target.place}: {error.reason}")
    if isinstance(error, HUNG_UP):
        chosen = target.settings.chosen("hostkeyalgorithms")
        more = f", or has no host key of your HostKeyAlgorithms ({chosen})" if chosen else ""
        return ChannelError(f"{target.place} hangs up before the login{more}; if this stays so, ask its sshd's log why")
    if isinstance(error, asyncssh.DisconnectError):
        if "authentication failures" in error.reason:
            return ChannelError(
                f"{target.place}: {error.reason}; name the right key with key: in cluster.yaml", fatal=True
            )
        return ChannelError(f"{target.place}: {error.reason}", fatal=isinstance(error, asyncssh.KeyExchangeFailed))
    if isinstance(error, socket.gaierror):
        return _unresolved(error, target)
    if isinstance(error, TimeoutError):
        what = f"no answer from {target.place} within {target.patience:.0f} s"
        return ChannelError(f"{what}: is the machine on, and no firewall before it?")
    if isinstance(error, OSError):
        return ChannelError(_network(error, target))
    return ChannelError(f"{target.place}: {error or type(error).__name__}")


def _network(error: OSError, target: Target) -> str:
    """Asyncio puts the errors of several addresses into one text."""
    found = re.search(r"\[Errno (\d+)\]", str(error))
    number = error.errno or (int(found[1]) if found else 0)
    if number == errno.ECONNREFUSED:
        return f"nothing answers at {target.place}: does sshd run there, and at this port?"
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return f"no way to {target.place}: {os.strerror(number)}"
    return f"{target.place}: {os.strerror(number) if number else error}"


def _unresolved(error: socket.gaierror, target: Target) -> ChannelError:
    for_good = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    hint = "check its name, or add it to ~/.ssh/config" if for_good else "is there a network?"
    return ChannelError(f'the name "{target.host}" does not resolve; {hint}', fatal=for_good)


def _host_key(text: str, target: Target) -> ChannelError:
    if "revoked" in text:
        return ChannelError(f"{target.place}: its host key is marked as revoked in {_files(target)}", fatal=True)
    key = target.seen_keys[-1] if target.seen_keys else None
    if key is None:
        return ChannelError(f"{target.place}: {text}", fatal=True)
    shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
    if target.known_keys:
        lines = target.known_lines()
        return _changed(target, f"it is {shown} now" + (f", another one in {', '.join(lines)}" if lines else ""))
    return ChannelError(
        f"the host key of {target.place} is not known: {shown}; to compare and accept it, type: ssh {target.words()}",
        fatal=True,
    )


def _changed(target: Target, now: str) -> ChannelError:
    place = target.host if target.port == 22 else f"'[{target.host}]:{target.port}'"
    lines = target.known_lines()
    file = lines[0].rpartition(":")[0] if lines else ""
    usual = file in ("", str(target.settings.home / ".ssh" / "known_hosts"))
    forget = f"ssh-keygen {'' if usual else f'-f {file} '}-R {place}"
    return ChannelError(
        f"the host key of {target.place} has CHANGED ({now}): someone may listen in; if it was set up anew, "
        f"type: {forget} && ssh {target.words()}",
        fatal=True,
    )


def _files(target: Target) -> str:
    return ", ".join(str(path) for path in target.known_files if path.exists()) or "known_hosts"


def _refused(target: Target) -> ChannelError:
    who = f"{target.user}@{target.host}"
    has = target.identities
    if has.forbidden:
        what = f"your SSH configuration has {has.forbidden} for it, so that no key is offered"
        what += f", and tui-lab does not answer passwords and codes{_share(target)}"
        return ChannelError(f"{who}: {what}", fatal=True)
    locked = [name for name, public in has.locked.items() if public not in target.offered]
    silent = f" ({has.silent})" if has.silent else ""
    if locked and not has.files:
        return ChannelError(
            f"{who}: the key {locked[0]} has a passphrase, and no SSH agent opens it{silent}; type: "
            f"ssh-add {locked[0]}, in the shell that starts tui-lab",
            fatal=True,
        )
    if not target.offered:
        troubles = [*has.unusable, *([has.silent] if has.silent else [])]
        why = f" ({'; '.join(troubles)})" if troubles else ""
        return ChannelError(
            f"{who}: there is no SSH key to offer{why}; type: ssh-keygen -t ed25519 && {_copy(target, '')}", fatal=True
        )
    if not target.client.methods:
        what = "takes no SSH key, or wants more than that (a password, a code), which tui-lab does not answer"
        what += _share(target)
        return ChannelError(f"{who} {what}; to see what it is, type: ssh -v {target.words()}", fatal=True)
    offered = ", ".join([*has.files, *(["those of the SSH agent"] if has.agent else [])])
    closed = f" ({locked[0]} has a passphrase, and no SSH agent opens it)" if locked else ""
    return ChannelError(
        f"{who} refuses the keys that were offered ({offered}){closed}; it takes: {', '.join(target.client.methods)}; "
        f"type: {_copy(target, *has.files[:1])}",
        fatal=True,
    )


def _share(target: Target) -> str:
    """How the user can log in once for all connections."""
    path = target.settings.text("controlpath")
    return f"; once you have logged in by `ssh -fNM {target.words()}`, it uses that connection" if path else ""


def _copy(target: Target, key: str = "") -> str:
    return f"ssh-copy-id {target.words(*([f'-i {key}'] if key else []))}"
