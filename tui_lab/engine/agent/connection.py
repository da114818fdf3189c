"""The connection to the engine: JSON lines, some with bytes behind them."""

import json
import os
import socket
import time

from tui_lab.engine.agent.text import decode, encode, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COALESCE = 0.02  # seconds that a report waits for others, while the agent has enough to do
UNSENT_LIMIT = 1 << 22  # bytes waiting for a slow connection, above which no more events are made
BODY_LIMIT = 1 << 24  # bytes that a message may have behind its line


class Connection:
    """The newest connection to an engine; there is one at a time.

    `handle(message, body)` is called for each message, `body` being the bytes behind the line. Messages are dropped
    until the handshake is complete."""

    def __init__(self, handle) -> None:
        self.handle = handle
        self.channel: Any = None
        self.is_open = False
        self.wants_steps = False  # the engine takes messages on single steps
        self.last_heard = 0.0  # monotonic, of the last bytes received
        self.unread = bytearray()
        self.unsent = bytearray()
        self.reports: Any = []  # (function that makes the message and its body, monotonic time), not in `unsent` yet

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and close the one before."""
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        self.close()  # the newest connection is the engine's; the old one is dead
        connection.setblocking(False)
        self.last_heard = time.monotonic()
        self.channel = connection

    def close(self) -> None:
        """Close the connection. What was not sent is dropped: the engine asks for it when it connects again."""
        if self.channel is not None:
            self.channel.close()
        self.channel, self.unread, self.unsent, self.reports = None, bytearray(), bytearray(), []
        self.is_open = False

    def receive(self) -> None:
        """Read what has arrived, and handle each whole message."""
        try:
            data = self.channel.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.last_heard = time.monotonic()
        self.unread += data
        done = 0
        while self.channel is not None:
            size = self.handle_next(done)
            if size == 0:
                break
            done += size
        if self.channel is not None:
            del self.unread[:done]

    def handle_next(self, start: int) -> int:
        """Handle the message that begins at `start` in the received bytes; return its size, 0 where it has not arrived
        as a whole."""
        end = self.unread.find(b"\n", start) + 1
        if end == 0:
            return 0
        line = bytes(self.unread[start:end])
        try:
            message = json.loads(decode(line))
            size = message.get("size", 0)
            if type(size) is not int or not 0 <= size <= BODY_LIMIT:
                raise ValueError("%.100r bytes behind a message" % size)
            if len(self.unread) < end + size:
                return 0
            self.handle(message, bytes(self.unread[end : end + size]))
        except Exception:  # noqa: BLE001 (one bad message is not the end of all tasks)
            import traceback  # late: it would slow down every start

            log("message %r: %s" % (line[:500], traceback.format_exc()))
            self.close()  # the engine notices, and settles open attempts when it reconnects
            return 0
        return end + size - start

    def send(self, message: dict, body: bytes = b"") -> None:
        """Send a message at once, after the reports that wait."""
        if self.channel is not None and self.is_open:
            self.flush_reports()
            self.put(message, body)

    def put(self, message: dict, body: bytes) -> None:
        """Append a message to the bytes to send."""
        if body:
            message["size"] = len(body)
        self.unsent += encode(json.dumps(message)) + b"\n" + body

    def report(self, make, moment: float) -> None:
        """Send a message soon, together with others. `make()` returns the message and its body when they are sent.

        moment: monotonic, of what is reported."""
        if self.channel is not None and self.is_open:
            self.reports.append((make, moment))

    def report_delay(self, now: float, at_most: float) -> float:
        """Return how many seconds the reports may still wait, 0 where they must be sent now."""
        if not self.reports or len(self.unsent) > UNSENT_LIMIT:
            return at_most  # a slow connection wakes the loop when it takes more
        return 0.0 if len(self.reports) > 100 else max(0.0, self.reports[0][1] + COALESCE - now)

    def flush_reports(self) -> None:
        """Put the waiting reports into the bytes to send, each with its age in seconds; as many as a slow connection
        can take."""
        now = time.monotonic()
        count = 0
        while count < len(self.reports) and len(self.unsent) <= UNSENT_LIMIT:
            make, moment = self.reports[count]
            message, body = make()
            message["ago"] = round(now - moment, 6)
            self.put(message, body)
            count += 1
        del self.reports[:count]

    def flush(self) -> None:
        """Send as many bytes as the connection takes now."""
        while self.channel is not None and self.unsent:
            try:
                sent = self.channel.send(self.unsent)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            del self.unsent[:sent]


def listen(address: str) -> socket.socket:
    """Return a socket that listens at an address. A socket file that a dead agent has left there is replaced."""
    try:
        os.unlink(address)
    except OSError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(8)
    listener.setblocking(False)
    return listener
