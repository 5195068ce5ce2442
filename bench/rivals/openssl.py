"""``openssl speed``: the cipher of Noise alone, on one core. Nothing encrypted gets past it."""

from __future__ import annotations

import asyncio
import re
import shutil
from typing import Final

from bench.contest import Missing

NAME: Final = "openssl speed, ChaCha20-Poly1305"
BLOCK: Final = 65536  # bytes; a Noise record carries 65,519
COMMAND: Final = f"openssl speed -evp chacha20-poly1305 -bytes {BLOCK} -seconds 1 -mr".split()
RESULT: Final = re.compile(rb"^\+F:\d+:[^:]+:([\d.]+)$", re.MULTILINE)
TIMEOUT_S: Final = 20.0


def missing() -> Missing | None:
    """Say why there is none here."""
    return None if shutil.which("openssl") else Missing("openssl is not installed")


async def speed() -> float:
    """Return how much ChaCha20-Poly1305 one core seals, in MB/s."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if (found := RESULT.search(said)) is None:
        raise OSError(f"openssl speed said nothing of use: {said!r}")
    return float(found[1]) / 1e6
