"""Lanes of the server: threads that answer what is known, beside those that wait for forward passes."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from simvis_core import SimvisError
from simvis_core.steps import Ended, Result, Step, advanced

Moment = TypeVar("Moment")
QUICK = "quick"  # the name that Gradio's queue keeps the quick lane's events under
QUICK_THREADS, SLOW_THREADS = 4, 40
EVENTS = 256  # under way at once: those that wait for forward passes too
PACE = 0.5  # seconds between two messages of how far an answer is
MOST_WAITING = 64  # for one kind of turn


class Lanes:
    """The limiters of one server's threads, and which of them the event at hand belongs to."""

    def __init__(self) -> None:
        self._quick, self._slow = CapacityLimiter(QUICK_THREADS), CapacityLimiter(SLOW_THREADS)
        self._at_hand: ContextVar[CapacityLimiter] = ContextVar("lane", default=self._slow)

    @property
    def at_hand(self) -> CapacityLimiter:
        """What Gradio runs the event's functions under."""
        return self._at_hand.get()

    def enter(self, name: str | None) -> None:
        """What follows in this task belongs to the lane of that concurrency id."""
        self._at_hand.set(self._quick if name == QUICK else self._slow)

    async def quick(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives; it runs no network and waits for none."""
        return await to_thread.run_sync(work, limiter=self._quick)

    async def slow(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, which may wait for forward passes."""
        return await to_thread.run_sync(work, limiter=self._slow)

    async def stepped(self, steps: Generator[Step, None, Result]) -> AsyncGenerator[Step | Ended[Result]]:
        """Each step; at last `Ended` with what the steps come to.

        Whoever stops listening stops the steps.
        """
        try:
            while not isinstance(step := await self.slow(lambda: advanced(steps)), Ended):
                yield step
            yield step
        finally:
            steps.close()


async def paced(steps: AsyncGenerator[Moment]) -> AsyncGenerator[Moment]:
    """The first of the steps, then those that come PACE after the one before, and the last."""
    last = -PACE
    async with aclosing(steps):
        async for step in steps:
            now = time.monotonic()
            if isinstance(step, Ended) or now - last >= PACE:
                last = now
                yield step


class Turns:
    """One after the other, in the order of their coming; at most MOST_WAITING wait."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn, once it comes. Raises SimvisError where too many wait."""
        if self._waiting >= MOST_WAITING:
            raise SimvisError(
                f"a question behind {MOST_WAITING} others", "fewer that wait for the network", "ask again in a minute"
            )
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()
