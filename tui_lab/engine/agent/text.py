"""Text as bytes, and the agent's log."""

import os
import time


def encode(text: str) -> bytes:
    """Return UTF-8 bytes, whatever the node's locale is. Bytes of an environment that are no UTF-8 come back as they
    were."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """Return UTF-8 bytes as text; bytes that are none as surrogates, which `encode` turns back."""
    return data.decode("utf-8", "surrogateescape")


def log(text: str) -> None:
    """Write a line with the time to standard error, which is the agent's log."""
    try:
        os.write(2, encode("%s %s\n" % (time.strftime("%Y-%m-%d %H:%M:%S"), text)))
    except OSError:
        pass  # a full disk: there is no other place to report it
