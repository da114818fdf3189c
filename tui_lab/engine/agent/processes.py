"""What the kernel knows of processes."""

import os
import resource
import signal

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")  # per second, of start times


def boot_id() -> str:
    """This boot of this machine, and the pid namespace that gives pids their meaning."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return boot + " " + os.readlink("/proc/self/ns/pid")


def process_stat(pid: int):
    """(state, parent, group, session, start time in clock ticks) of a process, or None where it is gone."""
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
    """Whether a pid still is the process that began at that time, and it has not ended."""
    facts = process_stat(pid)
    return facts is not None and facts[0] not in "ZX" and facts[4] == start_time


def process_file(pid: int, name: str) -> bytes:
    """`environ` or `cmdline` of a process; empty where it is gone or someone else's."""
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_during_exec(pid: int, start_time: int) -> bool:
    """Whether a process may be between two programs: for a moment it has no environment then, that says whose it is.
    One that is older than a second has simply none."""
    if process_file(pid, "environ"):
        return False
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - start_time / TICKS < 1.0


def all_pids() -> list:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children() -> list:
    """Our own; every process where the kernel does not say."""
    try:
        file = os.open("/proc/self/task/%d/children" % os.getpid(), os.O_RDONLY)
    except OSError:
        return all_pids()
    try:
        return [int(word) for word in os.read(file, 1 << 20).split()]
    finally:
        os.close(file)


def has_variables(pid: int, variables: tuple) -> bool:
    """Whether a process has these in its environment, each as `NAME=VALUE` between NULs."""
    environment = b"\0" + process_file(pid, "environ")
    return all(variable in environment for variable in variables)


def signal_each(pids: list, number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot; 0 where it does not say."""
    try:
        with open("/proc/vmstat") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def reap_children():
    """(pid, exit status as shells have it, CPU seconds, peak memory in bytes) of each child that has ended, which is
    reaped with that. 0 bytes where the peak is not above our own, which the kernel lets a child inherit."""
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
    """Have orphaned grandchildren come to us, not to init."""
    import ctypes  # late: it would make the shim larger

    try:
        return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False
