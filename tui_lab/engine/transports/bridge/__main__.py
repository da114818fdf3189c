"""The bridge process: `python -m tui_lab.engine.transports.bridge KIND`, with frames on its standard streams.

KIND is the name of a package of `tui_lab.engine.transports` that has a module `back_end`, or the full name of such a
module elsewhere. It has `make(site, boot)`.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys

from tui_lab.engine.transports.bridge.back_end import BackEndError
from tui_lab.engine.transports.bridge.server import MakeBackEnd, Server


async def main(kind: str, stdin: int, stdout: int) -> None:
    """Serve an engine over two descriptors."""
    module = kind if "." in kind else f"tui_lab.engine.transports.{kind}.back_end"
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stdin, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(stdout, "wb", 0))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    def load() -> MakeBackEnd:
        try:
            make: MakeBackEnd = importlib.import_module(module).make
        except ImportError as error:
            raise BackEndError(f"{error}; pip install 'tui-lab[{kind}]'", fatal=True) from error
        return make

    await Server(reader, writer, load).run()


if __name__ == "__main__":
    # Libraries print, and start programs that read: our streams are ours alone.
    streams = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    asyncio.run(main(sys.argv[1], *streams))
    sys.stderr.flush()
    os._exit(0)  # a library's threads may go on for long
