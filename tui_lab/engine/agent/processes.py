"""What the kernel reports about processes."""

import os
import resource
import signal

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")  # clock ticks per second


def boot_id() -> str:
    """Return the id of this boot of this machine, with the pid namespace that gives pids their meaning."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return boot + " " + os.readlink("/proc/self/ns/pid")


def process_stat(pid: int):
    """Return (state, parent, group, session, start time in clock ticks) of a process, None where it is gone."""
    try:
        file = os.open("/proc/%s/stat" % pid, os.O_RDONLY)
    except OSError:
        return None
    try:
        fields = os.read(file, 4096).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(file)
    if len(fields) < 20:
        return None
    return fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])


def is_process(pid: int, start_time: int) -> bool:
    """Return whether a pid is still the process with that start time, and the process has not ended."""
    facts = process_stat(pid)
    return facts is not None and facts[0] not in "ZX" and facts[4] == start_time


def process_file(pid: int, name: str) -> bytes:
    """Return the content of `environ` or `cmdline` of a process; empty where it is gone or another user's."""
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_during_exec(pid: int, start_time: int) -> bool:
    """Return whether a process may be between two programs.

    For a moment it has no environment then, which would tell whose it is; a process that is older than a second simply
    has none."""
    if process_file(pid, "environ"):
        return False
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - start_time / TICKS < 1.0


def all_pids() -> list:
    """Return the pids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children() -> list:
    """Return the pids of this process's children; of all processes where the kernel does not report children."""
    try:
        file = os.open("/proc/self/task/%d/children" % os.getpid(), os.O_RDONLY)
    except OSError:
        return all_pids()
    try:
        return [int(word) for word in os.read(file, 1 << 20).split()]
    finally:
        os.close(file)


def has_variables(pid: int, variables: tuple) -> bool:
    """Return whether a process has these variables in its environment, each as `NAME=VALUE` between NULs."""
    environment = b"\0" + process_file(pid, "environ")
    return all(variable in environment for variable in variables)


def signal_each(pids: list, number: int) -> None:
    """Send a signal to each process, and wake those that are stopped."""
    for pid in pids:
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass


def oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory since boot; 0 where it does not report it."""
    try:
        with open("/proc/vmstat") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def reap_children():
    """Yield (pid, exit status as shells have it, CPU seconds, peak memory in bytes) of each child that has ended.

    The peak is 0 where it is not above that of this process, which the kernel lets a child inherit."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = usage.ru_maxrss if usage.ru_maxrss > own else 0
        yield pid, code, usage.ru_utime + usage.ru_stime, peak * 1024


def become_subreaper() -> bool:
    """Become the parent of orphaned descendants, instead of init. Return whether the kernel allows it."""
    import ctypes  # late: it would make the shim larger

    try:
        return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False
