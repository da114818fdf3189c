"""What kind of machine the node is, and its present load."""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KIB = 1024


def read_text(path: str) -> str:
    """Return the text of a file, empty where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def memory_usage() -> tuple:
    """Return the total and the used memory in bytes, of the machine or of the container around the agent."""
    amounts: Any = {}
    for line in read_text("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable", "MemFree"):
            amounts[name] = int(rest.split()[0]) * KIB
    total = amounts.get("MemTotal", 0)
    used = total - amounts.get("MemAvailable", amounts.get("MemFree", 0))
    limits = (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    )
    for limit_file, used_file in limits:
        limit, inside = read_text(limit_file).strip(), read_text(used_file).strip()
        if limit.isdigit() and int(limit) < total:
            return int(limit), int(inside) if inside.isdigit() else used
    return total, used


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def system_name(text: str) -> str:
    """Return the name of the operating system, from the text of /etc/os-release."""
    values = dict(line.partition("=")[::2] for line in text.splitlines())
    name = values.get("PRETTY_NAME") or values.get("NAME") or "Linux"
    return name.strip().strip("\"'")


def cpu_name(text: str) -> str:
    """Return the name of the processor, from the text of /proc/cpuinfo. That has none for ARM processors."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model", "cpu") and value.strip():
            return " ".join(value.split())
    return os.uname().machine


def node_facts(gpus: list) -> dict:
    """Return the facts for the journal that results may depend on."""
    return {
        "host": os.uname().nodename,
        "os": system_name(read_text("/etc/os-release")),
        "kernel": os.uname().release,
        "cpu": cpu_name(read_text("/proc/cpuinfo")),
        "cores": cores(),
        "memory": memory_usage()[0],
        "python": "%d.%d.%d" % sys.version_info[:3],
        "gpus": [{"index": gpu["index"], "name": gpu["name"], "memory": gpu["memory"]} for gpu in gpus],
        "clock": time.time(),
    }


def kills_at_logout(root: str = "/") -> bool:
    """Return whether systemd-logind ends a user's processes at logout, the agent included."""
    if os.getuid() == 0:
        return False  # logind excludes root by default
    if "session-" not in read_text(os.path.join(root, "proc/self/cgroup")):
        return False
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or ""
    if user and os.path.exists(os.path.join(root, "var/lib/systemd/linger", user)):
        return False
    return kill_user_processes(root)


def kill_user_processes(root: str) -> bool:
    """Return the value of KillUserProcesses in the configuration of systemd-logind; the last file wins."""
    files = []
    for folder in ("usr/lib/systemd", "run/systemd", "etc/systemd"):
        path = os.path.join(root, folder, "logind.conf.d")
        if os.path.isdir(path):
            files += [os.path.join(path, name) for name in os.listdir(path) if name.endswith(".conf")]
    files.sort(key=os.path.basename)
    answer = False
    for path in [os.path.join(root, "etc/systemd/logind.conf")] + files:
        for line in read_text(path).splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "KillUserProcesses" and value.strip():
                answer = value.strip().lower() in ("yes", "true", "on", "1")
    return answer


LOGOUT_NOTICE = (
    "this node ends a user's processes at logout (KillUserProcesses=yes): tasks end with the connection; "
    "`loginctl enable-linger` there keeps them running"
)
