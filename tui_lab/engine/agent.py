"""The agent: starts tasks on one node and outlives the engine and the connection to it.

One file, standard library only, Python 3.6 or newer, Linux. Its source travels over the channel to the node
(see `transports`), so nothing is installed there. Run as `python3 -S -E -c BOOT SPOOL` it is a relay between
its standard input and output and the agent's Unix socket in the folder SPOOL; where no agent is alive, the
relay first starts one as a daemon.

What it promises (docs/protocol.md is the whole text):

- an attempt that it has seen is never started twice; an event stays in the ledger until the engine
  acknowledges it;
- every attempt runs under one constant wrapper in its own session, which writes the exit status to the file
  `exits`, so that a later agent can read it;
- a pid is believed only with its process start time and the machine's boot id.
"""

import collections
import ctypes
import errno
import fcntl
import heapq
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
import traceback

TYPE_CHECKING = False  # `typing` itself would cost a node's Python its time
if TYPE_CHECKING:
    from typing import Any

PROTOCOL = 1
# Arguments: $0 name of the step, $1 file for the exit status, $2 working folder, $3 and $4 files for outputs,
# then the program and its arguments. It outlives every signal that a program may be meant to get, and says
# nothing itself, not even "Killed". It opens the outputs, not the agent: the agent would wait for the disk,
# and start nothing else.
WRAPPER = (
    'trap : HUP INT QUIT USR1 USR2 PIPE ALRM TERM; i=$0 f=$1; command exec >>"$3" 2>>"$4" || exit 119; '
    'cd "$2" || exit 125; shift 4; exec 3>&2 2>/dev/null; "$@" 2>&3 3>&-; s=$?; echo "$i $s" >>"$f"; exit $s'
)
NOT_OPENED = 119  # exit status of a wrapper that could not open the outputs; it is not written down
SLOT_MARK = "@@tui-lab-slot@@"
LEFTOVER_GRACE = 2.0  # seconds between TERM and KILL for what a task has left behind
LEFTOVER_LIMIT = 10.0  # seconds after KILL from which on a process that does not die is let be
IDLE_LIMIT = 600.0  # seconds that an agent with nothing to do waits for an engine
HOLD = 1.0  # seconds between tries where the node has no room for a task
OOM_EVERY = 1.0  # seconds that a count of the kernel's out-of-memory kills stays good
FRESHEN = 6 * 3600.0  # seconds between touches of the spool: cleaners of /tmp remove what looks old
ADOPTED_POLL = 0.1
PR_SET_CHILD_SUBREAPER = 36
LEDGER_LIMIT = 1 << 24  # bytes
CHUNK = 1 << 16
COALESCE = 0.02  # seconds that news may wait for more, while the agent has enough to do
# The node lacks something for the moment: an attempt waits, it does not fail.
SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def encode(text: str) -> bytes:
    """UTF-8 bytes whatever the node's locale is; undecodable bytes of an environment come back as they
    were."""
    return text.encode("utf-8", "surrogateescape")


def boot_id() -> str:
    """This boot of this machine, and the pid namespace that gives pids their meaning."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return boot + " " + os.readlink("/proc/self/ns/pid")


def process_stat(pid: int):
    """(state, parent, group, session, start time in clock ticks) of a process, or None where it is gone."""
    try:
        file = os.open("/proc/%d/stat" % pid, os.O_RDONLY)
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


def process_file(pid: int, name: str) -> bytes:
    """`environ` or `cmdline` of a process; empty where it is gone or someone else's."""
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


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


def peak_memory() -> int:
    """The agent's own peak resident memory in bytes: what the kernel lets a child inherit at exec."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def log(text: str) -> None:
    try:
        os.write(2, encode("%s %s\n" % (time.strftime("%Y-%m-%d %H:%M:%S"), text)))
    except OSError:
        pass  # a full disk: there is nobody left to tell


class Attempt:
    """One execution of a task: its start message, where it stands, and at the end its event."""

    def __init__(self, message: dict, exits: str) -> None:
        self.message = message
        self.key = (message["experiment"], message["task"], message["attempt"])
        self.id = "%s/%d/%d" % self.key
        self.exits = exits  # file that its wrappers write exit statuses to
        self.in_ledger = False
        self.folder_made = False
        self.outputs: Any = ()  # files of the current step
        self.begun = False  # the current step is about to start, or has: the ledger says so
        self.step = 0
        self.steps: Any = []  # exit status and duration of each step that ended
        self.slot: Any = None
        self.pid: Any = None  # of the wrapper of the current step
        self.start_time = 0  # of that wrapper, in clock ticks since boot
        self.adopted = False  # started by an earlier agent: not our child
        self.pidfd: Any = None  # tells when an adopted wrapper ends
        self.sessions: Any = []
        self.started: Any = None  # monotonic
        self.started_wall: Any = None  # as an earlier agent wrote it down
        self.step_started: Any = None
        self.cpu_time = 0.0
        self.peak_rss = 0
        self.measured = True  # no step's usage is unknown
        self.oom_before = 0
        self.stopping: Any = None  # reason, once someone asked for the end
        self.kill_at = 0.0  # monotonic: until then it may end by itself
        self.told: Any = set()  # pids that have got TERM
        self.timers: Any = []
        self.leftover: Any = set()
        self.ending: Any = None  # the event, while leftovers are being stopped
        self.event: Any = None
        self.event_at: Any = None

    @property
    def over(self) -> bool:
        """Its last step has ended, or never began."""
        return self.ending is not None


class Agent:
    """The daemon. One thread, one `select` loop; see `run`."""

    def __init__(self, spool: str) -> None:
        self.spool = spool
        self.attempts: Any = {}  # key -> Attempt: everything that the engine has not acknowledged
        self.queue: Any = collections.deque()
        self.by_pid: Any = {}
        self.by_pidfd: Any = {}
        self.contexts: Any = {}
        self.setups: Any = {}  # pid of a running setup -> context id
        self.slots = 0
        self.free_slots: Any = []
        self.timers: Any = []
        self.timer_count = 0
        self.cancelled = 0
        self.held_until = 0.0
        self.notice = ""
        self.oom = (0.0, 0)  # when the kernel's count was read, and the count
        self.umask: Any = None
        self.identity = self.read_identity()
        self.epoch = self.read_epoch()
        self.channel: Any = None
        self.greeted = False
        self.unread = b""
        self.unsent = bytearray()
        self.news: Any = []  # (message, monotonic time of what it tells), not yet in `unsent`
        self.leaving = False
        self.idle_since = time.monotonic()
        self.shells: Any = {}
        self.subreaper = become_subreaper()
        self.children_file = "/proc/self/task/%d/children" % os.getpid()
        self.exits_number = 1
        self.ledger_lines: Any = []
        self.ledger_path = os.path.join(spool, "ledger.jsonl")
        self.ledger = os.open(self.ledger_path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self.ledger_size = self.replay_ledger()
        self.after(FRESHEN, self.freshen)

    # The ledger: what a later agent needs to go on.

    def read_identity(self) -> str:
        """Name of this ledger: an engine that meets another one knows that the attempts of the old are
        lost."""
        path = os.path.join(self.spool, "identity")
        try:
            with open(path) as file:
                text = file.read()
            if text:
                return text
        except OSError:
            pass
        identity = "%x-%x" % (int(time.time() * 1e6), os.getpid())
        with open(path, "w") as file:
            file.write(identity)
        return identity

    def read_epoch(self) -> int:
        try:
            with open(os.path.join(self.spool, "epoch")) as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def note(self, record: dict) -> None:
        self.ledger_lines.append(json.dumps(record))

    def write_ledger(self) -> bool:
        """Write what was noted. False where the disk is full: it stays noted, and the file is as it was."""
        if not self.ledger_lines:
            return True
        data = encode("\n".join(self.ledger_lines) + "\n")
        written = 0
        try:
            while written < len(data):
                written += os.write(self.ledger, data[written:])
        except OSError as error:
            os.ftruncate(self.ledger, self.ledger_size)
            self.hold("%s: %s" % (self.spool, error.strerror))
            return False
        self.ledger_lines = []
        self.ledger_size += written
        return True

    def replay_ledger(self) -> int:
        """Take over from a dead agent: its events are sent again, its running attempts are adopted. Size of
        the file."""
        with open(self.ledger_path, "rb") as file:
            lines = file.read().split(b"\n")
        torn = lines.pop()
        size = os.fstat(self.ledger).st_size - len(torn)
        os.ftruncate(self.ledger, size)
        for line in lines:
            try:
                self.replay(json.loads(line.decode("utf-8", "surrogateescape")))
            except (ValueError, KeyError) as error:
                log("ledger: %r: %r" % (line[:200], error))
        numbers = [int(a.exits.rpartition("-")[2]) for a in self.attempts.values()]
        self.exits_number = max([1] + numbers)
        unsettled = [a for a in self.attempts.values() if a.event is None]
        strays = self.find_strays() if any(a.begun and a.pid is None for a in unsettled) else {}
        for attempt in unsettled:
            self.take_over(attempt, strays)
        return size

    def replay(self, record: dict) -> None:
        kind = record["record"]
        if kind == "intent":
            attempt = Attempt(record["start"], record["exits"])
            attempt.in_ledger = attempt.begun = True
            self.attempts[attempt.key] = attempt
            return
        attempt = self.attempts.get(tuple(record["key"]))
        if attempt is None:
            return
        if kind == "pid":
            attempt.step = record["step"]
            attempt.pid = record["pid"]
            attempt.start_time = record["start_time"]
            attempt.slot = record["slot"]
            attempt.sessions.append(record["pid"])
            attempt.started_wall = record["started"]
        elif kind == "step":
            attempt.steps.append(record["ended"])
            attempt.step += 1
            attempt.pid = None
            attempt.begun = False
        elif kind == "begin":
            attempt.begun = True
        elif kind == "stopping":
            attempt.stopping = record["reason"]
        elif kind == "event":
            attempt.event = attempt.ending = record["event"]
            attempt.event_at = time.monotonic()
        elif kind == "ack":
            del self.attempts[attempt.key]

    def find_strays(self) -> dict:
        """Wrappers by the name of their step and their file for the status: for a pid that never reached the
        ledger."""
        found = {}
        for pid in all_pids():
            words = process_file(pid, "cmdline").split(b"\0")
            if len(words) > 4 and words[2] == WRAPPER.encode():
                stat_ = process_stat(pid)
                if stat_ is not None and stat_[3] == pid and stat_[0] != "Z":
                    found[words[3], words[4]] = pid
        return found

    def take_over(self, attempt: Attempt, strays: dict) -> None:
        now, wall = time.monotonic(), time.time()
        attempt.adopted = True
        attempt.measured = False
        attempt.started = attempt.step_started = now - max(0.0, wall - (attempt.started_wall or wall))
        attempt.oom_before = self.oom_count()
        if attempt.pid is None and attempt.begun:
            pid = strays.get((encode("%s/%d" % (attempt.id, attempt.step)), encode(attempt.exits)))
            stat_ = process_stat(pid) if pid is not None else None
            if stat_ is not None:
                attempt.pid, attempt.start_time = pid, stat_[4]
                attempt.sessions.append(pid)
                self.note(pid_record(attempt))
        if not attempt.begun:
            self.queue.append(attempt)  # between two steps: goes on once its context is here
        elif attempt.pid is not None and self.alive(attempt):
            self.by_pid[attempt.pid] = attempt
            self.watch(attempt)
            if attempt.stopping is not None:
                attempt.kill_at = now + attempt.message["grace"]
                attempt.timers.append(self.after(attempt.message["grace"], self.kill, attempt))
        else:
            self.after(0, self.adopted_ended, attempt)
            return
        self.set_timeout(attempt)

    def watch(self, attempt: Attempt) -> None:
        """Learn of the end of a process that is not our child."""
        try:
            attempt.pidfd = os.pidfd_open(attempt.pid)  # novermin
            if attempt.pidfd < 1000:  # `select` takes no more
                self.by_pidfd[attempt.pidfd] = attempt
                return
            self.unwatch(attempt)
        except (AttributeError, OSError):
            pass  # Python before 3.9, or an old kernel
        self.after(ADOPTED_POLL, self.poll_adopted, attempt)

    def unwatch(self, attempt: Attempt) -> None:
        if attempt.pidfd is not None:
            self.by_pidfd.pop(attempt.pidfd, None)
            os.close(attempt.pidfd)
            attempt.pidfd = None

    def alive(self, attempt: Attempt) -> bool:
        stat_ = process_stat(attempt.pid)
        return stat_ is not None and stat_[0] not in "ZX" and stat_[4] == attempt.start_time

    def recorded_status(self, attempt: Attempt):
        """The exit status that the wrapper of the current step wrote down; None where it did not."""
        wanted = "%s/%d" % (attempt.id, attempt.step)
        status = None
        try:
            with open(attempt.exits) as file:
                for line in file:
                    name, _, value = line.rstrip("\n").rpartition(" ")
                    if name == wanted:
                        status = int(value)
        except (OSError, ValueError):
            pass
        return status

    def poll_adopted(self, attempt: Attempt) -> None:
        if attempt.over or not attempt.adopted:
            return
        if self.alive(attempt):
            self.after(ADOPTED_POLL, self.poll_adopted, attempt)
        else:
            self.adopted_ended(attempt)

    def adopted_ended(self, attempt: Attempt) -> None:
        self.by_pid.pop(attempt.pid, None)
        self.unwatch(attempt)
        status = self.recorded_status(attempt)
        if status is None and attempt.stopping is None:
            # It may never have started, or someone killed its wrapper: nobody knows how it ended.
            self.end(attempt, {"state": "lost", "reason": "start"})
        else:
            self.step_ended(attempt, 128 + signal.SIGKILL if status is None else status)

    def shorten_ledger(self) -> None:
        """Drop what the engine has acknowledged, once that is all or most of the file."""
        if not self.attempts:
            self.ledger_lines = []
            os.ftruncate(self.ledger, 0)
            self.ledger_size = 0
            try:
                os.truncate(self.exits, 0)
            except OSError:
                pass
        elif self.ledger_size > LEDGER_LIMIT:
            lines = [json.dumps(record) for attempt in self.attempts.values() for record in records(attempt)]
            data = encode("".join(line + "\n" for line in lines))
            try:
                with open(self.ledger_path + ".new", "wb") as file:
                    file.write(data)
            except OSError as error:
                self.hold("%s: %s" % (self.spool, error.strerror))
                return
            os.rename(self.ledger_path + ".new", self.ledger_path)
            os.close(self.ledger)
            self.ledger = os.open(self.ledger_path, os.O_RDWR | os.O_APPEND)
            self.ledger_lines = []
            self.ledger_size = len(data)
            self.exits_number += 1
            used = {attempt.exits for attempt in self.attempts.values()}
            for name in os.listdir(self.spool):
                path = os.path.join(self.spool, name)
                if name.startswith("exits-") and path != self.exits and path not in used:
                    os.unlink(path)

    @property
    def exits(self) -> str:
        """The file for the exit statuses of attempts that begin now."""
        return os.path.join(self.spool, "exits-%d" % self.exits_number)

    def freshen(self) -> None:
        """Keep the spool from those who remove old files."""
        for name in [""] + os.listdir(self.spool):
            try:
                os.utime(os.path.join(self.spool, name))
            except OSError:
                pass
        self.after(FRESHEN, self.freshen)

    # The loop.

    def after(self, seconds: float, call, *arguments) -> list:
        self.timer_count += 1
        timer = [time.monotonic() + seconds, self.timer_count, call, arguments]
        heapq.heappush(self.timers, timer)
        return timer

    def cancel(self, attempt: Attempt) -> None:
        """Drop the timers of an attempt: with a timeout of hours and short tasks they would pile up."""
        for timer in attempt.timers:
            timer[2], timer[3] = None, ()
        self.cancelled += len(attempt.timers)
        attempt.timers = []
        if self.cancelled > 1000 and self.cancelled > len(self.timers) // 2:
            self.timers = [timer for timer in self.timers if timer[2] is not None]
            heapq.heapify(self.timers)
            self.cancelled = 0

    def run(self, listener: socket.socket) -> None:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        # Handlers, not SIG_IGN: what is ignored stays so in the tasks. Only the engine's word or KILL ends an
        # agent.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, lambda *_: None)
        listener.setblocking(False)
        self.reap()
        while True:
            self.pump()
            self.write_ledger()
            if self.notice and time.monotonic() >= self.held_until:
                self.say("")
            now = time.monotonic()
            patience = IDLE_LIMIT
            if self.news:
                patience = self.news[0][1] + COALESCE - now
                if patience <= 0 or len(self.news) > 100 or not self.queue or self.free_slots:
                    self.tell()
                    patience = IDLE_LIMIT
            self.flush()
            if self.leaving and not self.attempts:
                break
            if self.channel is not None or self.busy():
                self.idle_since = now
            elif now - self.idle_since > IDLE_LIMIT:
                return  # what was not acknowledged stays in the ledger for the next agent
            timeout = patience
            if self.timers:
                timeout = max(0.0, min(timeout, self.timers[0][0] - now))
            reading: Any = [listener, wake_read] + list(self.by_pidfd)
            writing: Any = []
            if self.channel is not None:
                reading.append(self.channel)
                if self.unsent:
                    writing.append(self.channel)
            readable, writable, _ = select.select(reading, writing, [], timeout)
            if wake_read in readable:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
                self.reap()
            for pidfd in [fd for fd in readable if fd in self.by_pidfd]:
                self.adopted_ended(self.by_pidfd[pidfd])
            if self.channel is not None and self.channel in readable:
                self.receive()
            if listener in readable:
                self.accept(listener)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                _, _, call, arguments = heapq.heappop(self.timers)
                if call is None:
                    self.cancelled -= 1
                else:
                    call(*arguments)
        remove_spool(self.spool)

    def busy(self) -> bool:
        return bool(self.queue) or any(attempt.event is None for attempt in self.attempts.values())

    def hold(self, why: str) -> None:
        """Start nothing for a moment, and say why."""
        now = time.monotonic()
        if now >= self.held_until:
            self.held_until = now + HOLD
            self.after(HOLD, lambda: None)  # wakes the loop, which tries again
        self.say(why)

    def say(self, notice: str) -> None:
        if notice != self.notice:
            self.notice = notice
            if notice:
                log(notice)
            self.send({"type": "notice", "text": notice})

    # Talking with the engine.

    def accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if self.channel is not None:
            self.channel.close()  # the newest connection is the engine's: the old one is dead or half open
        connection.setblocking(False)
        self.channel, self.unread, self.unsent, self.news = connection, b"", bytearray(), []
        self.greeted = False

    def receive(self) -> None:
        try:
            data = self.channel.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return
        lines = (self.unread + data).split(b"\n")
        self.unread = lines.pop()
        for line in lines:
            if self.channel is None:
                return
            try:
                self.handle(json.loads(line.decode("utf-8", "surrogateescape")))
            except Exception:  # noqa: BLE001 (one bad message is not the end of all tasks)
                log("message %r: %s" % (line[:500], traceback.format_exc()))
                self.hang_up()  # the engine sees it, and settles what is open when it comes back

    def hang_up(self) -> None:
        if self.channel is not None:
            self.channel.close()
        self.channel, self.unread, self.unsent, self.news = None, b"", bytearray(), []
        self.greeted = False

    def send(self, message: dict) -> None:
        if self.channel is not None and self.greeted:
            self.tell()
            self.unsent += encode(json.dumps(message)) + b"\n"

    def report(self, message: dict, moment: float) -> None:
        """Tell what happened at a moment, together with more of the kind."""
        if self.channel is not None and self.greeted:
            self.news.append((message, moment))

    def tell(self) -> None:
        """Send what was reported, with how long ago it was."""
        if self.news:
            now = time.monotonic()
            news, self.news = self.news, []
            for message, moment in news:
                message["ago"] = round(now - moment, 6)
            self.unsent += encode("".join([json.dumps(message) + "\n" for message, _ in news]))

    def flush(self) -> None:
        while self.channel is not None and self.unsent:
            try:
                sent = self.channel.send(self.unsent)
            except BlockingIOError:
                return
            except OSError:
                self.hang_up()
                return
            del self.unsent[:sent]

    def handle(self, message: dict) -> None:
        kind = message["type"]
        if kind == "hello":
            self.greet(message)
        elif not self.greeted:
            self.hang_up()
        elif kind == "context":
            self.add_context(message)
        elif kind == "start":
            self.start(message)
        elif kind == "stop":
            attempt = self.attempts.get(tuple(message["key"]))
            if attempt is not None:
                self.stop(attempt, message["reason"], message["grace"])
        elif kind == "return":
            self.give_back([tuple(key) for key in message["keys"]])
        elif kind == "ack":
            for key in message["keys"]:
                attempt = self.attempts.get(tuple(key))
                if attempt is not None and attempt.event is not None:
                    del self.attempts[attempt.key]
                    self.note({"record": "ack", "key": key})
            self.shorten_ledger()
        elif kind == "slots":
            self.set_slots(message["slots"])
        elif kind == "forsake":
            self.forsake(message["contexts"])
        elif kind == "bye":
            self.leaving = True

    def greet(self, message: dict) -> None:
        self.greeted = True
        if message["epoch"] < self.epoch:
            self.send({"type": "refused", "reason": "epoch", "epoch": self.epoch})
            self.flush()
            self.hang_up()
            return
        if message["epoch"] > self.epoch:
            self.epoch = message["epoch"]
            try:
                with open(os.path.join(self.spool, "epoch"), "w") as file:
                    file.write(str(self.epoch))
            except OSError as error:
                log("epoch: %s" % error)
        self.leaving = False
        self.set_slots(message["slots"] or cores())
        self.send(
            {
                "type": "welcome",
                "protocol": PROTOCOL,
                "pid": os.getpid(),
                "spool": self.identity,
                "python": "%d.%d.%d" % sys.version_info[:3],
                "cores": cores(),
                "slots": self.slots,
                "open": [attempt.key for attempt in self.attempts.values()],
                "notice": self.notice,
            }
        )
        for attempt in self.attempts.values():
            if attempt.event is not None:
                self.send_event(attempt)
            elif attempt.pid is not None:
                self.send_started(attempt)

    def set_slots(self, slots: int) -> None:
        used = {a.slot for a in self.attempts.values() if a.slot is not None and a.event is None}
        self.slots = slots
        self.free_slots = [slot for slot in range(slots) if slot not in used]
        heapq.heapify(self.free_slots)

    def send_started(self, attempt: Attempt) -> None:
        self.report({"type": "started", "key": attempt.key, "pid": attempt.pid}, attempt.started)

    def send_event(self, attempt: Attempt) -> None:
        self.report(dict(attempt.event, type="finished", key=attempt.key), attempt.event_at)

    # Contexts: what the tasks of a submission have in common. Held in memory only: they carry the
    # environment.

    def add_context(self, message: dict) -> None:
        old = self.contexts.get(message["id"])
        if old is not None and old["ready"] is not False:
            return
        message["environment"] = {encode(k): encode(v) for k, v in message["environment"].items()}
        message["ready"] = True
        self.contexts[message["id"]] = message
        if message.get("setup"):
            self.run_setup(message)

    def run_setup(self, context: dict) -> None:
        """Run the setup lines once; the variables that they leave behind are inherited by every task."""
        import subprocess

        context["ready"] = None
        base = os.path.join(self.spool, "setup-%d" % len(self.contexts))
        context["setup_files"] = (base + ".env", base + ".log")
        script = context["setup"] + '\nexec env -0 >"$TUI_LAB_SETUP_ENV"'
        environment = dict(context["environment"])
        environment[b"TUI_LAB_SETUP_ENV"] = encode(base + ".env")
        try:
            with open(base + ".log", "wb") as output:
                process = subprocess.Popen(
                    self.shell(context) + ["-c", script],
                    env=environment,
                    cwd=context["workdir"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            context["ready"], context["error"] = False, "setup: %s" % error
            return
        process.returncode = 0  # reaped by our own loop, not by Popen
        self.setups[process.pid] = context["id"]

    def setup_ended(self, context: dict, status: int) -> None:
        environment_file, output = context["setup_files"]
        try:
            with open(environment_file, "rb") as file:
                pairs = [part.partition(b"=") for part in file.read().split(b"\0") if b"=" in part]
        except OSError:
            pairs = []
        if status == 0 and pairs:
            context["environment"] = {k: v for k, _, v in pairs if k != b"TUI_LAB_SETUP_ENV"}
            context["ready"] = True
            return
        try:
            with open(output, "rb") as file:
                tail = file.read()[-500:].decode("utf-8", "replace").strip()
        except OSError:
            tail = ""
        what = "exited with %d" % status if status else "left no environment behind (does it `exit`?)"
        context["ready"], context["error"] = False, "setup %s%s" % (what, ": " + tail if tail else "")

    def forsake(self, contexts: list) -> None:
        """No engine will ever send these contexts: give back what waits for one, or say that it is lost."""
        for attempt in list(self.queue):
            if (
                not attempt.over
                and attempt.message["context"] in contexts
                and attempt.message["context"] not in self.contexts
            ):
                if attempt.steps:
                    self.end(attempt, {"state": "lost", "reason": "start"})
                else:
                    self.give_back([attempt.key])

    def shell(self, context: dict) -> list:
        """The program and options that run a script: the one asked for, else bash where the node has it, else
        sh."""
        wanted = context.get("shell")
        path = context["environment"].get(b"PATH", b"").decode("utf-8", "surrogateescape")
        if wanted is None:
            if path not in self.shells:
                found = any(os.access(os.path.join(p, "bash"), os.X_OK) for p in path.split(":") if p)
                self.shells[path] = "bash" if found else "sh"
            wanted = self.shells[path]
        if os.path.basename(wanted) in ("bash", "zsh", "ksh"):
            return [wanted, "-e", "-o", "pipefail"]
        return [wanted, "-e"]

    # Starting.

    def start(self, message: dict) -> None:
        key = (message["experiment"], message["task"], message["attempt"])
        known = self.attempts.get(key)
        if known is None:
            attempt = Attempt(message, self.exits)
            self.attempts[key] = attempt
            self.queue.append(attempt)
        elif known.event is not None:
            self.send_event(known)

    def pump(self) -> None:
        """Start what is queued while slots are free: folders first, then the ledger, then the programs."""
        if not self.queue or self.held_until > time.monotonic():
            return
        ready, waiting = [], []
        while self.queue and (self.free_slots or self.queue[0].slot is not None or self.queue[0].over):
            attempt = self.queue.popleft()
            if attempt.over:
                continue
            context = self.contexts.get(attempt.message["context"])
            if context is None or context["ready"] is None:
                waiting.append(attempt)
                continue
            if attempt.slot is None:
                attempt.slot = heapq.heappop(self.free_slots)
            if context["ready"] is False:
                self.end(attempt, {"state": "failed", "reason": "start", "message": context["error"]})
                continue
            try:
                self.prepare(attempt, context)
            except (OSError, ValueError) as error:
                if self.failed_to_start(attempt, error):
                    break
                continue
            ready.append(attempt)
        self.queue.extendleft(reversed(waiting))
        noted = len(self.ledger_lines)
        for attempt in ready:
            self.note_begin(attempt)
        if not self.write_ledger():
            del self.ledger_lines[noted:]
            for attempt in reversed(ready):
                attempt.begun = False
                self.put_back(attempt)
            return
        for attempt in ready:
            attempt.in_ledger = True
            self.begin(attempt)
        self.make_folders()

    def make_folders(self) -> None:
        """The next folders, while all slots are busy: when one gets free, the task in it starts at once."""
        for attempt in [self.queue[i] for i in range(min(len(self.queue), 2))]:
            context = self.contexts.get(attempt.message["context"])
            if not attempt.folder_made and not attempt.over and context is not None and context["umask"] == self.umask:
                try:
                    os.makedirs(encode(attempt.message["folder"]))
                    attempt.folder_made = True
                except OSError:
                    pass  # `prepare` says what is wrong, if it still is

    def note_begin(self, attempt: Attempt) -> None:
        """What is noted here is in the ledger before the program starts."""
        attempt.begun = True
        if attempt.in_ledger:
            self.note({"record": "begin", "key": attempt.key})
        else:
            self.note({"record": "intent", "start": attempt.message, "exits": attempt.exits})

    def put_back(self, attempt: Attempt) -> None:
        """To the head of the queue; an attempt that has not begun gives its slot away."""
        if not attempt.steps:
            self.free_slot(attempt)
        self.queue.appendleft(attempt)

    def free_slot(self, attempt: Attempt) -> None:
        if attempt.slot is not None and attempt.slot < self.slots and attempt.slot not in self.free_slots:
            heapq.heappush(self.free_slots, attempt.slot)
        attempt.slot = None

    def prepare(self, attempt: Attempt, context: dict) -> None:
        """The attempt's folder and files."""
        if context.get("umask") is not None and context["umask"] != self.umask:
            self.umask = context["umask"]
            os.umask(self.umask)
        if attempt.steps:
            return
        folder = encode(attempt.message["folder"])
        if not attempt.folder_made:
            os.makedirs(folder, exist_ok=True)
            attempt.folder_made = True
        for name, text in attempt.message.get("files", {}).items():
            path = os.path.join(folder, encode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(encode(text.replace(SLOT_MARK, str(attempt.slot))))

    def begin(self, attempt: Attempt) -> None:
        """Start the program of the current step."""
        try:
            self.spawn(attempt, self.contexts[attempt.message["context"]])
        except (OSError, ValueError) as error:
            if attempt.steps:
                self.fail_to_start(attempt, error)
            else:
                self.failed_to_start(attempt, error)
            return
        if len(attempt.sessions) == 1:
            self.set_timeout(attempt)
        self.send_started(attempt)

    def failed_to_start(self, attempt: Attempt, error: Exception) -> bool:
        """True where the node has no room just now, and the attempt waits for it; else it has failed."""
        if isinstance(error, OSError) and error.errno in SCARCE:
            if attempt.in_ledger:
                # It never began: nothing is to be remembered.
                self.note({"record": "ack", "key": attempt.key})
                attempt.in_ledger = False
            attempt.begun = False
            self.put_back(attempt)
            self.hold("%s: %s; waiting" % (os.fsdecode(error.filename or attempt.message["folder"]), error.strerror))
            return True
        self.fail_to_start(attempt, error)
        return False

    def fail_to_start(self, attempt: Attempt, error: Exception) -> None:
        what = str(error)  # a NUL, or text that no descriptor takes
        if isinstance(error, OSError) and error.strerror:
            where = os.fsdecode(error.filename) + ": " if error.filename else ""
            what = where + error.strerror
        self.end(attempt, {"state": "failed", "reason": "start", "message": what})

    def spawn(self, attempt: Attempt, context: dict) -> None:
        message, slot = attempt.message, str(attempt.slot)
        step = context["steps"][attempt.step]
        argv = (message.get("argv") or [None] * len(context["steps"]))[attempt.step]
        if argv is None:
            script = (message.get("scripts") or {}).get(str(attempt.step), step["script"])
            argv = self.shell(context) + ["-c", script]
        workdir = message.get("workdir") or context["workdir"]
        if not os.path.isdir(encode(workdir)):
            raise FileNotFoundError(errno.ENOENT, "the working folder does not exist", workdir)
        environment = dict(context["environment"])
        for name, value in message["env"].items():
            environment[encode(name)] = encode(value.replace(SLOT_MARK, slot))
        environment[b"TUI_LAB_SLOT"] = slot.encode()
        suffix = "" if message["attempt"] == 1 else ".%d" % message["attempt"]
        prefix = "" if step["name"] is None else step["name"] + "."
        folder = message["folder"]
        attempt.outputs = tuple(os.path.join(folder, prefix + name + suffix) for name in ("stdout", "stderr"))
        wrapped = ["sh", "-c", WRAPPER, "%s/%d" % (attempt.id, attempt.step), attempt.exits, workdir]
        wrapped += attempt.outputs
        wrapped += [word.replace(SLOT_MARK, slot) for word in argv]
        attempt.oom_before = self.oom_count()
        attempt.step_started = time.monotonic()
        attempt.pid = launch([encode(word) for word in wrapped], environment)
        if attempt.started is None:
            attempt.started = attempt.step_started
        attempt.adopted = False
        attempt.sessions.append(attempt.pid)
        self.by_pid[attempt.pid] = attempt
        stat_ = process_stat(attempt.pid)
        attempt.start_time = stat_[4] if stat_ else 0
        self.note(pid_record(attempt))

    def oom_count(self) -> int:
        """The kernel's count as it was at most a second ago: reading it costs more than starting a
        program."""
        now = time.monotonic()
        if now - self.oom[0] > OOM_EVERY:
            self.oom = (now, oom_kills())
        return self.oom[1]

    def set_timeout(self, attempt: Attempt) -> None:
        timeout = attempt.message.get("timeout")
        if timeout is not None:
            left = attempt.started + timeout - time.monotonic()
            attempt.timers.append(self.after(max(0.0, left), self.time_out, attempt))

    def time_out(self, attempt: Attempt) -> None:
        self.stop(attempt, "timeout", attempt.message["grace"])

    # Ending.

    def stop(self, attempt: Attempt, reason: str, grace: float) -> None:
        """Ask an attempt to end: TERM to its process groups, after `grace` seconds KILL. The first reason
        stands."""
        if attempt.over or attempt.stopping is not None:
            return
        attempt.stopping = reason
        if attempt.in_ledger:
            self.note({"record": "stopping", "key": attempt.key, "reason": reason})
            self.write_ledger()
        if attempt.pid is None:
            state = "failed" if reason == "timeout" else "stopped"
            self.end(attempt, {"state": state, "reason": reason})
            return
        attempt.kill_at = time.monotonic() + grace
        self.signal_all(attempt, signal.SIGTERM)
        attempt.timers.append(self.after(grace, self.kill, attempt))

    def kill(self, attempt: Attempt) -> None:
        if not attempt.over:
            self.signal_all(attempt, signal.SIGKILL)
            attempt.timers.append(self.after(1.0, self.kill, attempt))

    def signal_all(self, attempt: Attempt, number: int) -> None:
        """To the process groups, and one by one to those who have left them: nobody gets a signal twice."""
        members = self.survivors(attempt)
        for session in attempt.sessions:
            try:
                os.killpg(session, number)
                os.killpg(session, signal.SIGCONT)  # a stopped process sees nothing but KILL until it goes on
            except OSError:
                pass
        self.signal_each([pid for pid, group in members if group not in attempt.sessions], number)
        attempt.told.update(pid for pid, _ in members)

    def signal_each(self, pids: list, number: int) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            except OSError:
                pass

    def give_back(self, keys: list) -> None:
        """Return attempts that have not begun; the engine gives their numbers out again."""
        returned = []
        for key in keys:
            attempt = self.attempts.get(key)
            if attempt is not None and not attempt.over and not attempt.begun and not attempt.steps:
                del self.attempts[key]
                attempt.ending = {"state": "returned"}
                if attempt.folder_made:
                    try:
                        os.rmdir(encode(attempt.message["folder"]))
                    except OSError:
                        pass  # an earlier attempt has left its outputs there
                returned.append(key)
        self.queue = collections.deque(a for a in self.queue if not a.over)
        self.send({"type": "returned", "keys": returned})

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            if pid in self.setups:
                self.setup_ended(self.contexts[self.setups.pop(pid)], code)
                continue
            attempt = self.by_pid.get(pid)
            if attempt is None or attempt.adopted:
                continue  # an orphan that came to us as its subreaper
            del self.by_pid[pid]
            attempt.cpu_time += usage.ru_utime + usage.ru_stime
            attempt.peak_rss = max(attempt.peak_rss, usage.ru_maxrss * 1024)
            self.step_ended(attempt, code)

    def step_ended(self, attempt: Attempt, code: int) -> None:
        if code == NOT_OPENED and not attempt.adopted and self.recorded_status(attempt) is None:
            self.not_opened(attempt)
            return
        duration = time.monotonic() - attempt.step_started
        attempt.steps.append([code, round(duration, 6)])
        attempt.pid = None
        ok = code in attempt.message["ok"]
        if ok and attempt.stopping is None and attempt.step + 1 < attempt.message["steps"]:
            self.note({"record": "step", "key": attempt.key, "ended": attempt.steps[-1]})
            attempt.step += 1
            attempt.begun = False
            self.queue.appendleft(attempt)  # it has its slot: `pump` starts it at once
            return
        event: Any = {"exit_code": code, "step": attempt.step}
        number = code - 128
        if attempt.stopping is not None:
            event.update(state="failed" if attempt.stopping == "timeout" else "stopped", reason=attempt.stopping)
        elif ok:
            event.update(state="done")
        elif 1 <= number <= 64:
            killed_by_kernel = number == signal.SIGKILL and oom_kills() > attempt.oom_before
            event.update(state="failed", reason="oom" if killed_by_kernel else "signal", signal=number)
        else:
            event.update(state="failed", reason="exit")
        self.end(attempt, event)

    def not_opened(self, attempt: Attempt) -> None:
        """The outputs could not be opened: find out why, and wait or fail."""
        attempt.pid = None
        attempt.sessions.pop()
        error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), attempt.outputs[0])
        for path in attempt.outputs:
            try:
                os.close(os.open(encode(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
            except OSError as found:
                error = found
        if attempt.steps or attempt.stopping is not None:
            self.fail_to_start(attempt, error)
            return
        attempt.started = None
        self.cancel(attempt)
        self.failed_to_start(attempt, error)

    def end(self, attempt: Attempt, event: dict) -> None:
        """Finish an attempt once nothing of it is left running."""
        attempt.ending = event
        self.cancel(attempt)
        self.sweep(attempt, time.monotonic())

    def sweep(self, attempt: Attempt, began: float) -> None:
        """TERM to each process once, KILL after a while, until there is none left. A shell may die of TERM at
        once while its child still writes a checkpoint: what was stopped has its whole grace."""
        left = [pid for pid, _ in self.survivors(attempt)] if attempt.sessions else []
        late = time.monotonic() - max(began + LEFTOVER_GRACE, attempt.kill_at)
        if not left or late > LEFTOVER_LIMIT:
            self.finish(attempt)
            return
        if late > 0:
            self.signal_each(left, signal.SIGKILL)
        else:
            self.signal_each([pid for pid in left if pid not in attempt.told], signal.SIGTERM)
            attempt.told.update(left)
        attempt.leftover.update(left)
        self.after(0.02, self.sweep, attempt, began)

    def survivors(self, attempt: Attempt) -> list:
        """(pid, process group) of an attempt's processes, besides the wrapper that is still running."""
        mark = (
            b"\0TUI_LAB_OUTPUT=" + encode(attempt.message["folder"]) + b"\0",
            b"\0TUI_LAB_ATTEMPT=%d\0" % attempt.message["attempt"],
        )
        if attempt.pid is None and self.subreaper and not self.left_anything(attempt, mark):
            return []
        found = []
        for pid in all_pids():
            stat_ = process_stat(pid)
            if stat_ is None or stat_[0] in "ZX" or pid == attempt.pid or pid == os.getpid():
                continue
            if stat_[3] in attempt.sessions or marked(pid, mark):
                found.append((pid, stat_[2]))
        return found

    def left_anything(self, attempt: Attempt, mark: tuple) -> bool:
        """Whether a look at every process of the machine is worth while, once the wrapper is gone."""
        for session in attempt.sessions:
            try:
                os.killpg(session, 0)
                return True
            except OSError:
                pass
        for pid in self.orphans():
            stat_ = process_stat(pid)
            if stat_ is not None and stat_[0] not in "ZX" and (stat_[3] in attempt.sessions or marked(pid, mark)):
                return True
        return attempt.adopted  # what it left behind went to another subreaper

    def orphans(self) -> list:
        """Our children that we did not start: what finished tasks left behind comes to their subreaper."""
        try:
            file = os.open(self.children_file, os.O_RDONLY)
        except OSError:
            return all_pids()  # the kernel does not say: look everywhere
        try:
            children = os.read(file, 1 << 20).split()
        finally:
            os.close(file)
        return [pid for pid in map(int, children) if pid not in self.by_pid and pid not in self.setups]

    def finish(self, attempt: Attempt) -> None:
        event = attempt.ending
        now = time.monotonic()
        if attempt.started is not None:
            event["duration"] = round(now - attempt.started, 6)
        if attempt.measured and attempt.steps:
            event["cpu_time"] = round(attempt.cpu_time, 6)
            if attempt.peak_rss > peak_memory():
                event["peak_rss"] = attempt.peak_rss
        if attempt.leftover:
            event["leftover"] = len(attempt.leftover)
        if attempt.message["steps"] > 1:
            event["steps"] = attempt.steps
        attempt.event, attempt.event_at = event, now
        if not attempt.in_ledger:
            self.note({"record": "intent", "start": attempt.message, "exits": attempt.exits})
            attempt.in_ledger = True
        self.note({"record": "event", "key": attempt.key, "event": event})
        self.free_slot(attempt)
        self.send_event(attempt)


def pid_record(attempt: Attempt) -> dict:
    return {
        "record": "pid",
        "key": attempt.key,
        "step": attempt.step,
        "pid": attempt.pid,
        "start_time": attempt.start_time,
        "slot": attempt.slot,
        "started": time.time() - (time.monotonic() - attempt.started),
    }


def records(attempt: Attempt) -> list:
    """What the ledger says of an attempt, from its intent to where it stands."""
    if not attempt.in_ledger:
        return []
    lines = [{"record": "intent", "start": attempt.message, "exits": attempt.exits}]
    if attempt.event is not None:
        lines.append({"record": "event", "key": attempt.key, "event": attempt.event})
        return lines
    lines += [{"record": "step", "key": attempt.key, "ended": ended} for ended in attempt.steps[: attempt.step]]
    if attempt.steps and attempt.begun:
        lines.append({"record": "begin", "key": attempt.key})
    if attempt.pid is not None:
        lines.append(pid_record(attempt))
    if attempt.stopping is not None:
        lines.append({"record": "stopping", "key": attempt.key, "reason": attempt.stopping})
    return lines


def all_pids() -> list:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marked(pid: int, mark: tuple) -> bool:
    """Whether a process has the variables of an attempt: those who left its session are found by them."""
    environment = b"\0" + process_file(pid, "environ")
    return mark[0] in environment and mark[1] in environment


def cores() -> int:
    return len(os.sched_getaffinity(0))


def become_subreaper() -> bool:
    """Have orphaned grandchildren come to us, not to init."""
    try:
        return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def launch(argv: list, environment: dict) -> int:
    """Start a shell in a session of its own; its pid. Its descriptors are ours: /dev/null, and the agent's
    log."""
    if sys.version_info >= (3, 8):
        try:
            return os.posix_spawn(  # novermin
                "/bin/sh",
                argv,
                environment,
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # what Python itself ignores
            )
        except NotImplementedError:
            pass  # a libc without POSIX_SPAWN_SETSID
    import subprocess

    process = subprocess.Popen(argv, executable="/bin/sh", env=environment, start_new_session=True)
    process.returncode = 0  # reaped by our own loop, not by Popen
    return process.pid


# Becoming a daemon, and the relay.


def remove_spool(spool: str) -> None:
    for name in os.listdir(spool):
        try:
            os.unlink(os.path.join(spool, name))
        except OSError:
            pass
    try:
        os.rmdir(spool)
    except OSError:
        pass


def open_spool(spool: str) -> None:
    """Make the agent's folder, for its owner alone."""
    os.makedirs(spool, mode=0o700, exist_ok=True)
    facts = os.lstat(spool)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise SystemExit("%s belongs to someone else" % spool)
    if facts.st_mode & 0o077:
        os.chmod(spool, 0o700)


def check_boot(spool: str) -> None:
    """A ledger from an earlier boot of this machine says nothing about its processes: they are gone."""
    path = os.path.join(spool, "boot")
    here = os.uname().nodename + " " + boot_id()
    try:
        with open(path) as file:
            written = file.read() or here
    except OSError:
        written = here
    host, _, boot = written.partition(" ")
    if boot != boot_id():
        if host != os.uname().nodename:
            raise SystemExit("%s is in use by the machine %s (if that is gone for good, remove it)" % (spool, host))
        for name in os.listdir(spool):
            if name != "lock":
                os.unlink(os.path.join(spool, name))
    with open(path, "w") as file:
        file.write(here)


def serve(spool: str, lock: int, ready: int) -> None:
    """The daemon's life: detach, listen, tell the relay, loop. The lock stays open, and so held, until its
    end."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())  # for people
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(os.path.join(spool, "agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (null, 1), (output, 2)):
        os.dup2(source, target)
    address = os.path.join(spool, "agent.sock")
    try:
        os.unlink(address)
    except OSError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(8)
    agent = Agent(spool)
    os.write(ready, b"1")
    os.close(ready)
    agent.run(listener)
    os._exit(0)


def connect(spool: str):
    """A connection to the agent of a spool, None where none is alive."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(os.path.join(spool, "agent.sock"))
    except OSError:
        channel.close()
        return None
    return channel


def hold_lock(spool: str):
    """The right to be the agent of a spool, as an open file; None where someone else has it."""
    path = os.path.join(spool, "lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(lock).st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)  # another relay is starting an agent, or a dying one has just removed this file
    return None


def reach(spool: str) -> socket.socket:
    """A connection to the agent of this spool; starts it where none is alive."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            open_spool(spool)
            channel = connect(spool)
            if channel is not None:
                return channel
            lock = hold_lock(spool)
        except FileNotFoundError:
            continue  # a dying agent has just removed the folder
        if lock is None:
            time.sleep(0.02)
            continue
        check_boot(spool)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(read_end)
                serve(spool, lock, write_end)
            except BaseException:  # noqa: BLE001 (the child of a fork must not go on as the relay)
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(write_end)
        os.close(lock)
        os.waitpid(child, 0)
        started = os.read(read_end, 1)
        os.close(read_end)
        if not started:
            break
    raise SystemExit("the agent did not start: %s" % last_word(os.path.join(spool, "agent.log")))


def last_word(path: str) -> str:
    try:
        with open(path, "rb") as file:
            lines = file.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no word from it"
    except OSError:
        return "no word from it"


def relay(spool: str) -> None:
    """Copy between standard input and output and the agent's socket until either side ends."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("the agent needs Linux, this is %s" % sys.platform)
    try:
        channel = reach(spool)
    except OSError as error:
        raise SystemExit("%s: %s" % (error.filename or spool, error.strerror))
    ends: Any = [0, channel]
    while True:
        readable, _, _ = select.select(ends, [], [])
        if 0 in readable:
            data = os.read(0, CHUNK)
            if not data:
                return
            channel.sendall(data)
        if channel in readable:
            data = channel.recv(CHUNK)
            if not data:
                return
            while data:
                data = data[os.write(1, data) :]


if __name__ == "__main__" and len(sys.argv) > 1:
    relay(sys.argv[1])
