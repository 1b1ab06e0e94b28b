"""Many cheap links to a portal router, held by a process of their own.

``python -m bench.crowd PORT FILE``: FILE holds one ``PATH TOKEN`` a line; each becomes a
WebSocket that is opened and held. Prints ``open N`` when all are, and ends them all at SIGTERM.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from pathlib import Path

AT_ONCE = 50
ANSWER_S = 15.0


async def hold(port: int, path: str, token: str, gate: asyncio.Semaphore) -> asyncio.StreamWriter:
    """Open one WebSocket and answer nothing. :raises OSError: when it is refused."""
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise OSError(f"{path}: {head!r}")
    return writer


async def main() -> int:
    """Open them all, say so, wait for the signal. :returns: the exit status."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    gate = asyncio.Semaphore(AT_ONCE)
    wanted = [line.split() for line in file.read_text().splitlines()]
    links = await asyncio.gather(*(hold(port, path, token, gate) for path, token in wanted))
    print(f"open {len(links)}", flush=True)
    await over.wait()
    for writer in links:
        writer.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
