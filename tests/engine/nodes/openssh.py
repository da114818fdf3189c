"""What of OpenSSH is here: without its sshd nodes are asyncssh servers, and the end of a test run says so.

TUI_LAB_TESTS_SSHD=asyncssh in the environment chooses these where there is an sshd, too. In CI an sshd that is
missing is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter

import pytest

SAID = ("nodes", "asyncssh")  # a property of tests whose nodes were no OpenSSH
NEEDS = "needs OpenSSH's "


def find_sshd() -> str | None:
    return shutil.which("sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


def chosen_server() -> str:
    """What serves a node that says nothing about it: "openssh" or "asyncssh"."""
    if find_sshd() is None and os.environ.get("CI"):
        pytest.fail("there is no sshd: install openssh-server")
    chosen = os.environ.get("TUI_LAB_TESTS_SSHD") or ("openssh" if find_sshd() else "asyncssh")
    assert chosen in ("openssh", "asyncssh"), f"TUI_LAB_TESTS_SSHD={chosen}"
    return chosen


def needs(*programs: str) -> pytest.MarkDecorator:
    """The mark of a test that runs programs of OpenSSH itself."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=NEEDS + ", ".join(missing))


def terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of nodes that were asyncssh servers, and of the tests that were skipped, if any."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    stood_in = {report.nodeid for report in reports if SAID in map(tuple, getattr(report, "user_properties", ()))}
    if not stood_in:
        return
    skips = [report for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    found = [(report.nodeid, report.longrepr[2].removeprefix("Skipped: ")) for report in skips]
    reasons = Counter(
        reason
        for test, reason in found
        if reason.startswith(NEEDS) or (test in stood_in and reason.startswith("needs "))
    )
    why = "no sshd here" if find_sshd() is None else f"TUI_LAB_TESTS_SSHD={os.environ.get('TUI_LAB_TESTS_SSHD')}"
    count = sum(number for reason, number in reasons.items() if reason.startswith(NEEDS))
    skipped = f"{count} test{'s' * (count != 1)} that need{'s' * (count == 1)} OpenSSH's own" if count else "no test"
    terminalreporter.write_line(
        f"{why}: nodes were asyncssh servers; {skipped} {'were' if count > 1 else 'was'} skipped for it"
    )
    for reason, number in sorted(reasons.items()):
        terminalreporter.write_line(f"  {number} skipped: {reason}")
