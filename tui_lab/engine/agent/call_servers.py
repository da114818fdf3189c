"""Servers that fork calls of Python functions: one for each module and set of variables that its import sees.

A server imports the module of the function once (`tui_lab.portable.function.server`), and is asked for calls as a shim
is for programs. Where there can be no server, each call is a process of its own, which the shim starts."""

import json
import os
import signal
import socket
import time

from tui_lab.engine.agent.attempt import Attempt
from tui_lab.engine.agent.shim import StarterEnd, create_file
from tui_lab.engine.agent.text import encode
from tui_lab.portable.starter import CALL, FUNCTION, MARKS, SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OF_A_CALL = (CALL.encode(), FUNCTION.encode())  # variables that the process of a call takes
# Variables of a task, which the import must not see: it serves many.
OF_A_TASK = (
    tuple(
        b"TUI_LAB_" + name
        for name in (
            *(b"TASK_ID", b"REPEAT", b"ATTEMPT", b"SEED", b"OUTPUT", b"METRICS", b"PARAMS", b"SLOT", b"STAGE"),
            b"DEADLINE",
        )
    )
    + OF_A_CALL
)
OF_STAGES = b"TUI_LAB_OUTPUT_"
ROOM = 4500  # bytes of MARKS: a path and a number
MOST = 4  # servers at a time, for each may take much memory
MOST_STALE = 3  # servers one after the other whose code changes before their first call
IDLE_LIMIT = 60.0  # seconds without a call after which a server ends
LOOK_EVERY = 1.0  # seconds


class CallServer(StarterEnd):
    """The agent's end of a server."""

    def __init__(
        self, spool: str, context: dict, call: bytes, module: tuple, environment: dict, command: tuple, workdir: str
    ) -> None:
        """Start the server. call: the first one. module: its folder and the file or name. environment: what the import
        sees. command: file and words. Raises OSError, ValueError."""
        import subprocess

        self.context = context
        self.environment = environment
        self.is_ready = False
        self.is_retired = False  # it gets no further call
        self.calls = 0  # so far
        self.used_at = time.monotonic()
        self.pending: Any = []  # (attempt, environment, workdir), until it is ready
        given = dict(environment)
        given[SERVER.encode()] = b"1"
        given[CALL.encode()] = call
        given[FUNCTION.encode()] = encode(module[1] or module[2])
        given[MARKS.encode()] = b"-" * ROOM
        file, words = command
        path, lock = create_file(spool)
        channel, other = socket.socketpair()
        try:
            process: Any = subprocess.Popen(
                [encode(word) for word in words],
                executable=file,
                env=given,
                cwd=encode(workdir),
                stdin=other.fileno(),
                stdout=lock,
                start_new_session=True,
            )
        except (OSError, ValueError):
            channel.close()
            raise
        finally:
            other.close()
            os.close(lock)
        process.returncode = 0  # reaped by the agent's loop, not by Popen
        super().__init__(path, channel, process.pid)

    def difference(self, environment: dict) -> bytes:
        """Return how an environment differs from what the import has seen, as `NAME=VALUE`, and `NAME` where a variable
        is not there. One text is quicker to receive for the server than many."""
        own = self.environment
        found = [b"%s=%s" % (name, value) for name, value in environment.items() if own.get(name) != value]
        found += [name for name in own if name not in environment]
        return b"\0".join(found)


class CallServers:
    """The servers of an agent, by what their imports see."""

    def __init__(self, agent, launcher) -> None:
        self.agent = agent
        self.launcher = launcher
        self.by_key: Any = {}
        self.looks = False  # a timer is set
        self.modules: Any = {}  # a call -> what is imported for it

    # --- Calls

    def add(self, attempt: Attempt, environment: dict, command: tuple, workdir: str) -> bool:
        """Have a server make the call of an attempt. Return False where a process of its own has to.

        environment: that of the attempt, but for its GPUs. command: what starts a server. Raises OSError."""
        context = self.agent.contexts.get(attempt.message["context"])
        if not context.get("serve_calls"):
            return False
        seen = {k: v for k, v in environment.items() if k not in OF_A_TASK and not k.startswith(OF_STAGES)}
        place = workdir
        if attempt.message.get("workdir"):  # it depends on the task
            place = context["workdir"]
            seen[b"PWD"] = encode(place)
        call = environment[CALL.encode()]
        key = (self.module_of(call), command[0], tuple(command[1]), place, frozenset(seen.items()))
        server = self.by_key.get(key)
        if server is None:
            if not self.make_room(context):
                return False
            try:
                server = CallServer(self.agent.spool, context, call, self.module_of(call), seen, command, place)
            except (OSError, ValueError):
                return False  # the shim reports the same, or waits
            self.by_key[key] = self.launcher.shims[server.pid] = server
            self.set_look()
        if (attempt.allocation or {}).get("gpus"):
            self.agent.gpus.set_visible(attempt.allocation["gpus"], environment)
        server.calls += 1
        server.used_at = time.monotonic()
        if server.is_ready:
            self.send(server, attempt, environment, workdir)
            return True
        server.pending.append((attempt, environment, workdir))
        timeout = attempt.message.get("timeout")
        if timeout is not None:  # it includes the import
            attempt.timers.append(self.agent.timers.after(timeout, self.agent.terminator.time_out, attempt))
        return True

    def send(self, server: CallServer, attempt: Attempt, environment: dict, workdir: str) -> None:
        """Request a call of a server that is ready. Raises OSError."""
        call = environment[CALL.encode()]
        given = {name: value for name, value in environment.items() if name not in OF_A_CALL}
        program: Any = (call, [], server.difference(given))
        self.launcher.send(server, attempt, program, (attempt, "fork", environment, workdir, True), workdir)

    def module_of(self, call: bytes) -> tuple:
        """Return what is imported for a call."""
        if call not in self.modules:
            facts = json.loads(call.decode())
            self.modules[call] = tuple(facts[name] for name in ("folder", "file", "module"))
        return self.modules[call]

    def make_room(self, context: dict) -> bool:
        """End a server that makes no call, where there are too many. Return whether a context may have a further
        one: not where a variable differs from task to task, so that a server makes one call."""
        if len(self.by_key) < MOST:
            return True
        idle = [server for server in self.by_key.values() if self.is_idle(server)]
        if not idle:
            return False
        oldest = min(idle, key=lambda server: server.used_at)
        if oldest.context is context and oldest.calls < 2:
            context["serve_calls"] = False
        self.retire(oldest)
        return bool(context["serve_calls"])

    # --- Messages

    def handle(self, server: CallServer, kind: str, fact) -> None:
        """Handle a message that only servers send."""
        if kind == "ready":
            server.is_ready = True
            pending, server.pending = server.pending, []
            for attempt, environment, workdir in pending:
                if attempt.is_over:
                    continue
                try:
                    self.send(server, attempt, environment, workdir)
                except (OSError, ValueError) as error:
                    self.launcher.not_started(attempt, error)
        elif kind == "unfit":
            if fact:
                self.agent.add_notice("%s; each call is a process of its own" % fact)
            self.give_up(server)
            kill_group(server.pid)  # with what its import has started
        elif kind == "stale":
            attempt = server.waiting.pop(fact)[0]
            attempt.is_requested = False
            context = self.agent.contexts.get(attempt.message["context"])
            if not server.is_retired:  # its first call that finds other code
                context["stale"] = context.get("stale", 0) + 1 if fact == 1 else 0
                if context["stale"] == MOST_STALE:
                    context["serve_calls"] = False
            self.retire(server)
            if attempt.stopping is not None:
                self.agent.terminator.end_unstarted(attempt)
            else:
                self.launcher.begin(attempt)

    def give_up(self, server: CallServer) -> None:
        """Let each call of the submissions that wait for a server be a process of its own."""
        server.context["serve_calls"] = False
        self.retire(server)
        pending, server.pending = server.pending, []
        for attempt, _, _ in pending:
            self.agent.contexts.get(attempt.message["context"])["serve_calls"] = False
        for attempt, _, _ in pending:
            if not attempt.is_over:
                self.launcher.begin(attempt)

    def ended(self, server: CallServer) -> list:
        """Handle the end of a server. Return its attempts, which are lost: none of them has left an exit status."""
        if not server.is_ready and not server.is_retired:
            self.give_up(server)  # the import has ended it, and so it will end each call
        self.retire(server)
        return [
            attempt for attempt in self.agent.attempts.values() if attempt.starter is server and not attempt.is_over
        ]

    # --- The end of servers

    def is_idle(self, server: CallServer) -> bool:
        """Return whether a server makes no call, and none waits for it."""
        waiting = [attempt for attempt, _, _ in server.pending if not attempt.is_over] or server.waiting
        return not waiting and not any(a.starter is server and a.pid is not None for a in self.agent.attempts.values())

    def retire(self, server: CallServer) -> None:
        """Give a server no further call; it ends after those that it makes."""
        server.is_retired = True
        self.by_key = {key: one for key, one in self.by_key.items() if one is not server}
        if self.is_idle(server):
            self.close(server)

    def close(self, server: CallServer) -> None:
        """Have a server end; it notices that the channel is closed, unless it imports."""
        server.close()
        if not server.is_ready:
            kill_group(server.pid)

    def set_look(self) -> None:
        """Set the timer for the next look at idle servers."""
        if not self.looks:
            self.looks = True
            self.agent.timers.after(LOOK_EVERY, self.look)

    def look(self) -> None:
        """End servers that are not needed."""
        self.looks = False
        now = time.monotonic()
        servers = [one for one in self.launcher.shims.values() if isinstance(one, CallServer) and one.alive]
        for server in servers:
            if self.is_idle(server) and (server.is_retired or not server.is_ready or now > server.used_at + IDLE_LIMIT):
                self.retire(server)
        if servers:
            self.set_look()

    def close_all(self) -> None:
        """End all servers: the run is over."""
        for server in list(self.by_key.values()):
            self.retire(server)


def kill_group(pid: int) -> None:
    """Kill a process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
