"""The explorer's server as a process of its own, as users start it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "serving"]


@dataclass(frozen=True)
class Server:
    """A running server.

    Parameters
    ----------
    address : str
        Of the page.
    process : int
        Its number.
    started, ready : float
        Seconds on the clock of ``time.time``: when the command was given, and when it said that it was ready.
    """

    address: str
    process: int
    started: float
    ready: float

    def resident(self) -> int:
        """Return the bytes of memory that the process holds (Linux only)."""
        text = Path(f"/proc/{self.process}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024


@contextmanager
def serving(*arguments: str, cache: Path | None = None) -> Iterator[Server]:
    """Run ``segscope`` with these arguments, ``--port 0`` and ``--no-open`` until the block ends.

    Parameters
    ----------
    *arguments : str
        ``"demo"``, or ``"serve"`` and what follows.
    cache : Path, optional
        The cache folder; without it, an empty one that goes with the block.

    Yields
    ------
    Server
        Once it is ready.

    Raises
    ------
    RuntimeError
        When the command ended instead, with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SEGSCOPE_CACHE": str(cache or folder)}
        command = [sys.executable, "-m", "segscope", *arguments, "--port", "0", "--no-open"]
        started = time.time()
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                address = _wait(process)
                yield Server(address, process.pid, started, time.time())
            finally:
                process.terminate()
                process.wait(timeout=60)


def _wait(process: subprocess.Popen[str]) -> str:
    """Return the address that the server says it is ready at."""
    said = []
    for line in process.stdout or ():
        if "ready at" in line:
            return line.split()[-1]
        said.append(line)
    raise RuntimeError(f"The server ended: {''.join(said)}")
