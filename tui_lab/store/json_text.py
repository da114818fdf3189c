"""Lines of JSON with text from outside: file names and output, whatever their bytes are."""

from __future__ import annotations

from typing import Any

import orjson


def line(value: Any) -> bytes:
    """JSON in UTF-8, with a newline. Bytes of a name that are no UTF-8, which Python holds as lone surrogates, become
    U+FFFD, each."""
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(_encodable(value), option=orjson.OPT_APPEND_NEWLINE)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
