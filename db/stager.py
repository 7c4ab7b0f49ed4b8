"""Stage blocks of lines beside the merge: the first of a stream here, the others in a process of their own."""

import asyncio
import ctypes
import gc
import os
import signal
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context

from db.copying import copy_text
from db.lines import LineSplitter
from db.staging import Rejected, stage_chunk

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class StagedBlock:
    """Hold a block as COPY reads it: in each round, the stage's name -> its rows."""

    rounds: list[dict[str, bytes]]
    rejected: list[Rejected]


class Stager:
    """Turn blocks of whole lines into staged rows without holding the event loop up."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._started: Future[int] | None = None

    async def stage(
        self, block: bytes, line: int, products: frozenset[str], now: datetime, *, first: bool
    ) -> StagedBlock:
        """Stage a block that begins at a line. Until the process has started, and for a short stream, a thread does."""
        loop = asyncio.get_running_loop()
        pool = None if first else self._ready()
        return await loop.run_in_executor(pool, stage_block, block, line, products, now)

    def _ready(self) -> ProcessPoolExecutor | None:
        """Give the process once it runs; begin to start it at the first call."""
        if self._pool is None or self._started is None:
            # Started afresh rather than forked: our threads and connections are no business of its.
            self._pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
            )
            self._started = self._pool.submit(os.getpid)
        return self._pool if self._started.done() else None

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def stage_block(block: bytes, line: int, products: frozenset[str], now: datetime) -> StagedBlock:
    """Stage a block of whole lines."""
    splitter = LineSplitter(line)
    chunk = stage_chunk([*splitter.feed(block), *splitter.close()], products, now)
    return StagedBlock(
        [{name: copy_text(rows) for name, rows in stages.items()} for stages in chunk.rounds], chunk.rejected
    )


def _begin(parent: int) -> None:
    """Leave Ctrl-C to the parent, and do not outlive it, however it ends."""
    gc.set_threshold(200_000, 50, 50)  # rows make no circles, and looking for them took a sixth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
