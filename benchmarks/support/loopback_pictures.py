"""A quick server of the pictures of a folder on loopback, in a process of its own.

``/3.jpg`` is picture 3 in the order of names, counted round and round; there is no robots.txt. Run
as a program it prints its port.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from benchmarks.support.timed_process import BenchmarkError


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a running server; it ends with the block.

    Raises:
        BenchmarkError: it does not start.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.support.loopback_pictures", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        port = server.stdout.readline().strip()
        if not port:
            raise BenchmarkError("the server of pictures does not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


async def _serve(folder: Path) -> None:
    pictures = [path.read_bytes() for path in sorted(folder.iterdir())]

    async def answer(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        return web.Response(body=pictures[number % len(pictures)], content_type="image/jpeg")

    app = web.Application()
    app.router.add_get("/{number:[0-9]+}.jpg", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    # the other end of standard input closes when the benchmark ends, however it does
    await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
