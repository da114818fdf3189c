"""The agent: starts tasks on one node and outlives the engine and the connection to it.

One file, standard library only, Python 3.6 or newer, Linux. Its source travels over the channel to the node
(see `transports`), so nothing is installed there. Run as `python3 -S -E -c BOOT SPOOL` it is a relay between its
standard input and output and the agent's Unix socket in the folder SPOOL; where no agent is alive, the relay
first starts one as a daemon.

What it promises (docs/protocol.md is the whole text):

- an attempt that it has seen is never started twice; an event stays in the ledger until the engine acknowledges it;
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

PROTOCOL = 1
# Arguments: $0 name of the step, $1 file for the exit status, $2 working folder, then the program and its arguments.
# It outlives every signal that a program may be meant to get, and says nothing itself: not even "Killed".
WRAPPER = (
    "trap : HUP INT QUIT USR1 USR2 PIPE ALRM TERM; i=$0 f=$1; cd \"$2\" || exit 125; shift 2; exec 3>&2 2>/dev/null; "
    '"$@" 2>&3 3>&-; s=$?; echo "$i $s" >>"$f"; exit $s'
)
SLOT_MARK = "@@tui-lab-slot@@"
LEFTOVER_GRACE = 2.0  # seconds between TERM and KILL for what a task has left behind
LEFTOVER_LIMIT = 10.0  # seconds after which a process that can't be killed is let be
IDLE_LIMIT = 600.0  # seconds that an agent with nothing to do waits for an engine
HOLD = 1.0  # seconds between tries where the node has no room for a task
OOM_EVERY = 1.0  # seconds that a count of the kernel's out-of-memory kills stays good
FRESHEN = 6 * 3600.0  # seconds between touches of the spool: cleaners of /tmp remove what looks old
ADOPTED_POLL = 0.1
PR_SET_CHILD_SUBREAPER = 36
LEDGER_LIMIT = 1 << 24  # bytes
CHUNK = 1 << 16
# The node lacks something for the moment: an attempt waits, it does not fail.
SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def encode(text: str) -> bytes:
    """UTF-8 bytes whatever the node's locale is; undecodable bytes of an environment come back as they were."""
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
    sys.stderr.write("%s %s\n" % (time.strftime("%Y-%m-%d %H:%M:%S"), text))
    sys.stderr.flush()


class Attempt:
    """One execution of a task: its start message, where it stands, and at the end its event."""

    def __init__(self, message: dict, exits: str) -> None:
        self.message = message
        self.key = (message["experiment"], message["task"], message["attempt"])
        self.id = "%s/%d/%d" % self.key
        self.exits = exits  # file that its wrappers write exit statuses to
        self.in_ledger = False
        self.begun = False  # the current step is about to start, or has: the ledger says so
        self.step = 0
        self.steps = []  # exit status and duration of each step that ended
        self.slot = None
        self.pid = None  # of the wrapper of the current step
        self.start_time = 0  # of that wrapper, in clock ticks since boot
        self.adopted = False  # started by an earlier agent: not our child
        self.pidfd = None  # tells when an adopted wrapper ends
        self.sessions = []
        self.started = None  # monotonic
        self.started_wall = None  # as an earlier agent wrote it down
        self.step_started = None
        self.cpu_time = 0.0
        self.peak_rss = 0
        self.measured = True  # no step's usage is unknown
        self.oom_before = 0
        self.stopping = None  # reason, once someone asked for the end
        self.timers = []
        self.leftover = set()
        self.ending = None  # the event, while leftovers are being stopped
        self.event = None
        self.event_at = None

    @property
    def over(self) -> bool:
        """Its last step has ended, or never began."""
        return self.ending is not None


class Agent:
    """The daemon. One thread, one `select` loop; see `run`."""

    def __init__(self, spool, lock):
        self.spool = spool
        self.lock = lock  # held for the agent's whole life
        self.attempts = {}
        self.queue = collections.deque()
        self.by_pid = {}
        self.contexts = {}
        self.setups = {}  # pid of a running setup -> context id
        self.slots = 0
        self.free_slots = []
        self.timers = []
        self.timer_count = 0
        self.identity = self.read_identity()
        self.epoch = self.read_epoch()
        self.channel = None
        self.greeted = False
        self.unread = b""
        self.unsent = bytearray()
        self.leaving = False
        self.idle_since = time.monotonic()
        self.ledger_lines = []
        self.ledger_size = 0
        self.exits = os.path.join(spool, "exits")
        self.ledger_path = os.path.join(spool, "ledger.jsonl")
        self.shells = {}
        self.subreaper = self.become_subreaper()
        self.children_file = "/proc/self/task/%d/children" % os.getpid()
        self.replay_ledger()
        self.ledger = os.open(self.ledger_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    # The ledger: what a later agent needs to go on.

    def read_identity(self):
        """Name of this ledger: an engine that meets another one knows that the attempts of the old are lost."""
        path = os.path.join(self.spool, "identity")
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            identity = "%x-%x" % (int(time.time() * 1e6), os.getpid())
            with open(path, "w") as file:
                file.write(identity)
            return identity

    def read_epoch(self):
        try:
            with open(os.path.join(self.spool, "epoch")) as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def note(self, record):
        self.ledger_lines.append(json.dumps(record))

    def write_ledger(self):
        if self.ledger_lines:
            data = encode("\n".join(self.ledger_lines) + "\n")
            self.ledger_lines = []
            self.ledger_size += len(data)
            while data:
                data = data[os.write(self.ledger, data) :]

    def replay_ledger(self):
        """Take over from a dead agent: its events are sent again, its running attempts are adopted."""
        try:
            with open(self.ledger_path, "rb") as file:
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return
        for line in lines:
            try:
                record = json.loads(line.decode("utf-8", "surrogateescape"))
            except ValueError:
                continue  # torn by a full disk
            kind = record["record"]
            if kind == "intent":
                attempt = Attempt(record["start"])
                self.attempts[attempt.key] = attempt
                continue
            attempt = self.attempts.get(tuple(record["key"]))
            if attempt is None:
                continue
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
            elif kind == "event":
                attempt.event = record["event"]
                attempt.event_at = time.monotonic()
            elif kind == "ack":
                del self.attempts[attempt.key]
        open_attempts = [a for a in self.attempts.values() if a.event is None]
        strays = self.find_strays() if open_attempts else {}
        for attempt in open_attempts:
            self.take_over(attempt, strays)

    def find_strays(self):
        """Session leaders by attempt, found by their environment: for a pid that never reached the ledger."""
        found = {}
        for pid in all_pids():
            stat_ = process_stat(pid)
            if stat_ is None or stat_[3] != pid or stat_[0] == "Z":
                continue
            environment = process_environment(pid)
            if b"TUI_LAB_ATTEMPT=" in environment:
                variables = dict(part.partition(b"=")[::2] for part in environment.split(b"\0") if b"=" in part)
                found[(variables.get(b"TUI_LAB_OUTPUT"), variables.get(b"TUI_LAB_ATTEMPT"))] = pid
        return found

    def take_over(self, attempt, strays):
        now = time.monotonic()
        attempt.adopted = True
        wall = time.time()
        attempt.started = now - max(0.0, wall - (attempt.started_wall or wall))
        attempt.step_started = attempt.started
        if attempt.pid is None and not attempt.steps:
            folder = encode(attempt.message["folder"])
            pid = strays.get((folder, str(attempt.message["attempt"]).encode()))
            if pid is not None:
                attempt.pid, attempt.start_time = pid, process_stat(pid)[4]
                attempt.sessions.append(pid)
        if attempt.pid is not None and self.alive(attempt):
            self.by_pid[attempt.pid] = attempt
            self.after(0.2, self.poll_adopted, attempt)
            self.set_timeout(attempt)
        elif attempt.pid is not None or not attempt.steps:
            if attempt.pid is None and self.recorded_status(attempt) is None:
                # Nothing of it is alive or recorded: it may never have started. The engine decides.
                self.end(attempt, {"state": "lost", "reason": "start"})
            else:
                self.after(0, self.adopted_ended, attempt)
        else:
            self.queue.append(attempt)  # between two steps: goes on once its context is here

    def alive(self, attempt):
        stat_ = process_stat(attempt.pid)
        return stat_ is not None and stat_[0] != "Z" and stat_[4] == attempt.start_time

    def recorded_status(self, attempt):
        wanted = "%s/%d" % (attempt.id, attempt.step)
        status = None
        try:
            with open(self.exits) as file:
                for line in file:
                    name, _, value = line.rstrip("\n").rpartition(" ")
                    if name == wanted:
                        status = int(value)
        except (OSError, ValueError):
            pass
        return status

    def poll_adopted(self, attempt):
        if attempt.event is not None or attempt.ending is not None:
            return
        if self.alive(attempt):
            self.after(0.2, self.poll_adopted, attempt)
        else:
            self.adopted_ended(attempt)

    def adopted_ended(self, attempt):
        self.by_pid.pop(attempt.pid, None)
        status = self.recorded_status(attempt)
        if status is None and attempt.stopping is None:
            self.end(attempt, {"state": "lost", "reason": "start"})
        else:
            self.step_ended(attempt, 128 + signal.SIGKILL if status is None else status)

    # The loop.

    def after(self, seconds, call, *arguments):
        self.timer_count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.timer_count, call, arguments))

    def run(self, listener):
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)  # stopped only by the engine's word, or by KILL
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        listener.setblocking(False)
        self.reap()
        while True:
            self.pump()
            self.write_ledger()
            self.flush()
            if self.leaving and not self.attempts:
                break
            now = time.monotonic()
            if self.channel is not None or self.busy():
                self.idle_since = now
            elif now - self.idle_since > IDLE_LIMIT:
                return  # what was not acknowledged stays in the ledger for the next agent
            timeout = IDLE_LIMIT
            if self.timers:
                timeout = max(0.0, min(timeout, self.timers[0][0] - now))
            reading = [listener, wake_read] + ([self.channel] if self.channel is not None else [])
            writing = [self.channel] if self.channel is not None and self.unsent else []
            readable, writable, _ = select.select(reading, writing, [], timeout)
            if wake_read in readable:
                try:
                    os.read(wake_read, 4096)
                except BlockingIOError:
                    pass
                self.reap()
            if self.channel is not None and self.channel in readable:
                self.receive()
            if listener in readable:
                self.accept(listener)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                _, _, call, arguments = heapq.heappop(self.timers)
                call(*arguments)
        remove_spool(self.spool)

    def busy(self):
        return bool(self.queue) or any(attempt.event is None for attempt in self.attempts.values())

    # Talking with the engine.

    def accept(self, listener):
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if self.channel is not None:
            self.channel.close()  # the newest connection is the engine's: the old one is dead or half open
        connection.setblocking(False)
        self.channel, self.unread, self.unsent = connection, b"", bytearray()
        self.greeted = False

    def receive(self):
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
            self.handle(json.loads(line.decode("utf-8", "surrogateescape")))

    def give_up_unknown(self):
        """The engine has sent every context that it has: what waits for another one will never get it."""
        for attempt in list(self.queue):
            if attempt.event is None and attempt.message["context"] not in self.contexts:
                self.end(attempt, {"state": "lost", "reason": "start"})

    def hang_up(self):
        self.channel.close()
        self.channel, self.unread, self.unsent = None, b"", bytearray()

    def send(self, message):
        if self.channel is not None and self.greeted:
            self.unsent += encode(json.dumps(message)) + b"\n"

    def flush(self):
        while self.channel is not None and self.unsent:
            try:
                sent = self.channel.send(self.unsent)
            except BlockingIOError:
                return
            except OSError:
                self.hang_up()
                return
            del self.unsent[:sent]

    def handle(self, message):
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
                if self.attempts.pop(tuple(key), None) is not None:
                    self.note({"record": "ack", "key": key})
            self.shorten_ledger()
        elif kind == "slots":
            self.set_slots(message["slots"])
        elif kind == "ready":
            self.give_up_unknown()
        elif kind == "bye":
            self.leaving = True

    def greet(self, message):
        self.greeted = True
        if message["epoch"] < self.epoch:
            self.send({"type": "refused", "reason": "epoch", "epoch": self.epoch})
            self.flush()
            self.hang_up()
            return
        self.epoch = message["epoch"]
        with open(os.path.join(self.spool, "epoch"), "w") as file:
            file.write(str(self.epoch))
        self.leaving = False
        self.set_slots(message["slots"] or cores())
        self.send(
            {
                "type": "welcome",
                "pid": os.getpid(),
                "spool": self.identity,
                "python": "%d.%d.%d" % sys.version_info[:3],
                "cores": cores(),
                "slots": self.slots,
                "open": [attempt.key for attempt in self.attempts.values()],
            }
        )
        for attempt in self.attempts.values():
            if attempt.event is not None:
                self.send_event(attempt)
            elif attempt.started is not None and attempt.pid is not None:
                self.send_started(attempt)

    def set_slots(self, slots):
        used = {a.slot for a in self.attempts.values() if a.slot is not None and a.event is None}
        self.slots = slots
        self.free_slots = [slot for slot in range(slots) if slot not in used]
        heapq.heapify(self.free_slots)

    def send_started(self, attempt):
        ago = time.monotonic() - attempt.started
        self.send({"type": "started", "key": attempt.key, "pid": attempt.pid, "ago": round(ago, 6)})

    def send_event(self, attempt):
        event = dict(attempt.event, type="finished", key=attempt.key)
        event["ago"] = round(time.monotonic() - attempt.event_at, 6)
        self.send(event)

    def shorten_ledger(self):
        """Drop what the engine has acknowledged, once that is most of the file."""
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
            data = encode("\n".join(lines) + "\n")
            with open(self.ledger_path + ".new", "wb") as file:
                file.write(data)
            os.rename(self.ledger_path + ".new", self.ledger_path)
            os.close(self.ledger)
            self.ledger = os.open(self.ledger_path, os.O_WRONLY | os.O_APPEND)
            self.ledger_lines = []
            self.ledger_size = len(data)

    # Contexts: what the tasks of a submission have in common. Held in memory only: they carry the environment.

    def add_context(self, message):
        old = self.contexts.get(message["id"])
        if old is not None and old["ready"] is not False:
            return
        environment = {encode(k): encode(v) for k, v in message["environment"].items()}
        message["environment"] = environment
        message["ready"] = True
        self.contexts[message["id"]] = message
        if message.get("setup"):
            self.run_setup(message)

    def run_setup(self, context):
        """Run the setup lines once; the variables that they leave behind are inherited by every task."""
        context["ready"] = None
        base = os.path.join(self.spool, "setup-%d" % len(self.contexts))
        context["setup_files"] = (base + ".env", base + ".log")
        script = context["setup"] + '\nexec env -0 >"$TUI_LAB_SETUP_ENV"'
        environment = dict(context["environment"])
        environment[b"TUI_LAB_SETUP_ENV"] = encode(base + ".env")
        try:
            with open(base + ".log", "wb") as log:
                process = subprocess.Popen(
                    self.shell(context) + ["-c", script],
                    env=environment,
                    cwd=context["workdir"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            context["ready"], context["error"] = False, "setup: %s" % error
            return
        process.returncode = 0  # reaped by our own loop, not by Popen
        self.setups[process.pid] = context["id"]

    def setup_ended(self, context, status):
        environment_file, log = context["setup_files"]
        if status == 0:
            with open(environment_file, "rb") as file:
                pairs = [part.partition(b"=") for part in file.read().split(b"\0") if b"=" in part]
            context["environment"] = {k: v for k, _, v in pairs if k != b"TUI_LAB_SETUP_ENV"}
            context["ready"] = True
        else:
            with open(log, "rb") as file:
                tail = file.read()[-500:].decode("utf-8", "replace").strip()
            context["ready"], context["error"] = False, "setup exited with %d: %s" % (status, tail)

    def shell(self, context):
        """The program and options that run a script: the one asked for, else bash where the node has it, else sh."""
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

    def start(self, message):
        key = (message["experiment"], message["task"], message["attempt"])
        known = self.attempts.get(key)
        if known is not None:
            if known.event is not None:
                self.send_event(known)
            return
        attempt = Attempt(message)
        self.attempts[key] = attempt
        self.note({"record": "intent", "start": message})
        self.queue.append(attempt)

    def pump(self):
        """Start what is queued while slots are free."""
        waiting = []
        while self.queue and self.free_slots:
            attempt = self.queue.popleft()
            if attempt.event is not None:
                continue
            context = self.contexts.get(attempt.message["context"])
            if context is None or context["ready"] is None:
                waiting.append(attempt)
                continue
            self.write_ledger()
            attempt.slot = heapq.heappop(self.free_slots)
            if context["ready"] is False:
                self.end(attempt, {"state": "failed", "reason": "start", "message": context["error"]})
            else:
                self.begin(attempt, context)
        self.queue.extendleft(reversed(waiting))

    def begin(self, attempt, context):
        attempt.started = attempt.started or time.monotonic()
        try:
            if not attempt.steps:
                self.prepare(attempt)
            self.spawn(attempt, context)
        except OSError as error:
            what = "%s: %s" % (error.filename, error.strerror) if error.filename else str(error)
            failure = {"state": "failed", "reason": "start", "message": what}
            if free_space_error(error):
                failure["full"] = True
            self.end(attempt, failure)
            return
        except ValueError as error:  # a NUL, or text that no descriptor takes
            self.end(attempt, {"state": "failed", "reason": "start", "message": str(error)})
            return
        if not attempt.steps:
            self.set_timeout(attempt)
        self.send_started(attempt)

    def prepare(self, attempt):
        folder = encode(attempt.message["folder"])
        os.makedirs(folder, exist_ok=True)
        for name, text in attempt.message.get("files", {}).items():
            path = os.path.join(folder, encode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(encode(text.replace(SLOT_MARK, str(attempt.slot))))

    def spawn(self, attempt, context):
        message, slot = attempt.message, str(attempt.slot)
        step = context["steps"][attempt.step]
        argv = (message.get("argv") or [None] * len(context["steps"]))[attempt.step]
        if argv is None:
            script = (message.get("scripts") or {}).get(str(attempt.step), step["script"])
            argv = self.shell(context) + ["-c", script]
        workdir = message.get("workdir") or context["workdir"]
        if not os.path.isdir(encode(workdir)):
            raise FileNotFoundError(errno.ENOENT, "working folder does not exist", workdir)
        environment = dict(context["environment"])
        for name, value in message["env"].items():
            environment[encode(name)] = encode(value.replace(SLOT_MARK, slot))
        environment[b"TUI_LAB_SLOT"] = slot.encode()
        suffix = "" if message["attempt"] == 1 else ".%d" % message["attempt"]
        prefix = "" if step["name"] is None else step["name"] + "."
        folder = message["folder"]
        wrapped = ["sh", "-c", WRAPPER, "%s/%d" % (attempt.id, attempt.step), self.exits, workdir]
        wrapped += [word.replace(SLOT_MARK, slot) for word in argv]
        attempt.oom_before = oom_kills()
        attempt.step_started = time.monotonic()
        attempt.pid = launch(
            [encode(word) for word in wrapped],
            environment,
            encode(os.path.join(folder, prefix + "stdout" + suffix)),
            encode(os.path.join(folder, prefix + "stderr" + suffix)),
        )
        attempt.adopted = False
        attempt.sessions.append(attempt.pid)
        self.by_pid[attempt.pid] = attempt
        stat_ = process_stat(attempt.pid)
        attempt.start_time = stat_[4] if stat_ else 0
        self.note(pid_record(attempt))

    def set_timeout(self, attempt):
        timeout = attempt.message.get("timeout")
        if timeout is not None:
            left = attempt.started + timeout - time.monotonic()
            self.after(max(0.0, left), self.time_out, attempt)

    def time_out(self, attempt):
        if attempt.event is None:
            self.stop(attempt, "timeout", attempt.message["grace"])

    # Ending.

    def stop(self, attempt, reason, grace):
        """Ask an attempt to end: TERM to its process groups, after `grace` seconds KILL."""
        if attempt.event is not None or attempt.stopping is not None:
            return
        attempt.stopping = reason
        if attempt.pid is None:
            self.end(attempt, {"state": "stopped", "reason": reason})
            return
        self.signal_all(attempt, signal.SIGTERM)
        self.after(grace, self.kill, attempt)

    def kill(self, attempt):
        if attempt.event is None:
            self.signal_all(attempt, signal.SIGKILL)
            self.after(1.0, self.kill, attempt)

    def signal_all(self, attempt, number):
        for session in attempt.sessions:
            try:
                os.killpg(session, number)
                os.killpg(session, signal.SIGCONT)  # a stopped process sees nothing but KILL until it goes on
            except OSError:
                pass
        for pid in self.survivors(attempt):
            try:
                os.kill(pid, number)
            except OSError:
                pass

    def give_back(self, keys):
        """Return attempts that have not begun; the engine gives their numbers out again."""
        returned = []
        for key in keys:
            attempt = self.attempts.get(key)
            if attempt is not None and attempt.started is None and attempt.event is None:
                del self.attempts[key]
                attempt.event = {"state": "returned"}
                self.note({"record": "ack", "key": key})
                returned.append(key)
        self.queue = collections.deque(a for a in self.queue if a.event is None)
        self.send({"type": "returned", "keys": returned})

    def reap(self):
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

    def step_ended(self, attempt, code):
        duration = time.monotonic() - attempt.step_started
        attempt.steps.append([code, round(duration, 6)])
        attempt.pid = None
        context = self.contexts.get(attempt.message["context"])
        ok = code in (context["ok_exit_codes"] if context else attempt.message.get("ok", [0]))
        if ok and attempt.stopping is None and attempt.step + 1 < attempt.message["steps"]:
            self.note({"record": "step", "key": attempt.key, "ended": attempt.steps[-1]})
            attempt.step += 1
            if context is not None and attempt.slot is not None:
                self.begin(attempt, context)
            else:
                self.queue.append(attempt)
            return
        event = {"exit_code": code, "step": attempt.step}
        number = code - 128
        if attempt.stopping is not None:
            event.update(state="stopped" if attempt.stopping != "timeout" else "failed", reason=attempt.stopping)
        elif ok:
            event.update(state="done")
        elif number in SIGNALS:
            killed_by_kernel = number == signal.SIGKILL and oom_kills() > attempt.oom_before
            event.update(state="failed", reason="oom" if killed_by_kernel else "signal", signal=number)
        else:
            event.update(state="failed", reason="exit")
        self.end(attempt, event)

    def end(self, attempt, event):
        """Finish an attempt once nothing of it is left running."""
        attempt.ending = event
        self.sweep(attempt, time.monotonic() + LEFTOVER_GRACE)

    def sweep(self, attempt, deadline):
        left = self.survivors(attempt)
        if not left:
            self.finish(attempt)
            return
        attempt.leftover.update(left)
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in left:
            try:
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
            except OSError:
                pass
        self.after(0.02, self.sweep, attempt, deadline)

    def survivors(self, attempt):
        """Processes of an attempt besides the wrapper that is still running."""
        suspicious = not self.subreaper
        for session in attempt.sessions:
            if session == attempt.pid:
                suspicious = True
                continue
            try:
                os.killpg(session, 0)
                suspicious = True
            except OSError:
                pass
        if not suspicious:
            suspicious = bool(self.orphans())
        if not suspicious:
            return []
        mark = (
            b"\0TUI_LAB_OUTPUT=" + encode(attempt.message["folder"]) + b"\0",
            b"\0TUI_LAB_ATTEMPT=%d\0" % attempt.message["attempt"],
        )
        found = []
        for pid in all_pids():
            stat_ = process_stat(pid)
            if stat_ is None or stat_[0] in "ZX" or pid == attempt.pid or pid == os.getpid():
                continue
            if stat_[3] in attempt.sessions:
                found.append(pid)
            else:
                environment = b"\0" + process_environment(pid)
                if mark[0] in environment and mark[1] in environment:
                    found.append(pid)
        return found

    def orphans(self):
        """Our children that we did not start: what finished tasks left behind comes to their subreaper."""
        try:
            with open(self.children_file) as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            return [0]  # the kernel does not say: look everywhere
        return [pid for pid in children if pid not in self.by_pid and pid not in self.setups]

    def finish(self, attempt):
        event = attempt.ending
        now = time.monotonic()
        if attempt.started is not None:
            event["duration"] = round(now - attempt.started, 6)
        if not attempt.adopted and attempt.steps:
            event["cpu_time"] = round(attempt.cpu_time, 6)
            if attempt.peak_rss > peak_memory():
                event["peak_rss"] = attempt.peak_rss
        if attempt.leftover:
            event["leftover"] = len(attempt.leftover)
        if attempt.message["steps"] > 1:
            event["steps"] = attempt.steps
        attempt.event, attempt.event_at = event, now
        self.note({"record": "event", "key": attempt.key, "event": event})
        if attempt.slot is not None and attempt.slot < self.slots and attempt.slot not in self.free_slots:
            heapq.heappush(self.free_slots, attempt.slot)
        self.write_ledger()
        self.send_event(attempt)

    def become_subreaper(self):
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            return libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        except (OSError, AttributeError):
            return False


def pid_record(attempt):
    return {
        "record": "pid",
        "key": attempt.key,
        "step": attempt.step,
        "pid": attempt.pid,
        "start_time": attempt.start_time,
        "slot": attempt.slot,
        "started": time.time() - (time.monotonic() - attempt.started),
    }


def records(attempt):
    """What the ledger says of an attempt, from its intent to where it stands."""
    lines = [{"record": "intent", "start": attempt.message}]
    before = attempt.steps if attempt.event is None else []
    lines += [{"record": "step", "key": attempt.key, "ended": ended} for ended in before]
    if attempt.pid is not None:
        lines.append(pid_record(attempt))
    if attempt.event is not None:
        lines.append({"record": "event", "key": attempt.key, "event": attempt.event})
    return lines


SIGNALS = {int(number) for number in signal.Signals}


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def cores():
    return len(os.sched_getaffinity(0))


def launch(argv, environment, stdout, stderr):
    """Start a program in its own session with its output appended to two files; its pid."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if sys.version_info >= (3, 8):
        try:
            return os.posix_spawn(
                "/bin/sh",
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, stdout, flags, 0o666),
                    (os.POSIX_SPAWN_OPEN, 2, stderr, flags, 0o666),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGHUP],
            )
        except NotImplementedError:
            pass  # a libc without POSIX_SPAWN_SETSID
    out = os.open(stdout, flags, 0o666)
    try:
        err = os.open(stderr, flags, 0o666)
        try:
            process = subprocess.Popen(
                argv,
                executable="/bin/sh",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        finally:
            os.close(err)
    finally:
        os.close(out)
    process.returncode = 0  # reaped by our own loop, not by Popen
    return process.pid


# Becoming a daemon, and the relay.


def remove_spool(spool):
    for name in os.listdir(spool):
        try:
            os.unlink(os.path.join(spool, name))
        except OSError:
            pass
    try:
        os.rmdir(spool)
    except OSError:
        pass


def open_spool(spool):
    """Make the agent's folder, for its owner alone, and see that it belongs to this machine and this boot."""
    os.makedirs(spool, mode=0o700, exist_ok=True)
    facts = os.lstat(spool)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise SystemExit("tui-lab agent: %s belongs to someone else" % spool)
    os.chmod(spool, 0o700)


def check_boot(spool):
    """A ledger from an earlier boot of this machine says nothing about its processes: they are gone."""
    path = os.path.join(spool, "boot")
    here = os.uname().nodename + " " + boot_id()
    try:
        with open(path) as file:
            written = file.read()
    except OSError:
        written = here
    if written != here:
        if written.split(" ")[0] != os.uname().nodename:
            raise SystemExit("tui-lab agent: %s is in use by the machine %s" % (spool, written.split(" ")[0]))
        for name in ("ledger.jsonl", "exits", "identity"):
            try:
                os.unlink(os.path.join(spool, name))
            except OSError:
                pass
    with open(path, "w") as file:
        file.write(here)


def serve(spool, lock, ready):
    """The daemon's life: detach, listen, tell the relay, loop."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    log = os.open(os.path.join(spool, "agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (null, 1), (log, 2)):
        os.dup2(source, target)
    address = os.path.join(spool, "agent.sock")
    try:
        os.unlink(address)
    except OSError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(8)
    agent = Agent(spool, lock)
    os.write(ready, b"1")
    os.close(ready)
    agent.run(listener)
    os._exit(0)


def connect(spool):
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.connect(os.path.join(spool, "agent.sock"))
    except OSError:
        channel.close()
        return None
    return channel


def reach(spool):
    """A connection to the agent of this spool; starts it where none is alive."""
    for _ in range(200):
        open_spool(spool)
        channel = connect(spool)
        if channel is not None:
            return channel
        lock = os.open(os.path.join(spool, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            time.sleep(0.05)  # another relay is starting it, or a dying agent still holds the lock
            continue
        check_boot(spool)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(read_end)
                serve(spool, lock, write_end)
            except BaseException:
                import traceback

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
    raise SystemExit("tui-lab agent: did not start, see %s" % os.path.join(spool, "agent.log"))


def relay(spool):
    """Copy between standard input and output and the agent's socket until either side ends."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("tui-lab agent: needs Linux, this is %s" % sys.platform)
    channel = reach(spool)
    while True:
        readable, _, _ = select.select([0, channel], [], [])
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
