"""Work in steps: generators that tell how far they are and end with a result, run, told otherwise, or taking turns."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Step = TypeVar("Step")
Told = TypeVar("Told")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ended(Generic[Result]):
    """What comes behind the last step: the result that the steps came to."""

    result: Result


def advanced(steps: Generator[Step, None, Result]) -> Step | Ended[Result]:
    """The next step, or `Ended` with the result; whatever else the steps raise is let through.

    An end as a value can be handed from one thread to another, which Python's StopIteration cannot.

    >>> from simvis_core.steps import advanced
    >>> def counting():
    ...     yield 1
    ...     return "done"
    ...
    >>> steps = counting()
    >>> advanced(steps), advanced(steps)
    (1, Ended(result='done'))
    """
    try:
        return next(steps)
    except StopIteration as end:
        return Ended(end.value)


def run(steps: Generator[Step, None, Result], told: Callable[[Step], object] | None = None) -> Result:
    """The result of the steps, run to their end; ``told`` is called with each step as it comes.

    An error in ``told`` closes the steps.

    >>> from simvis_core.steps import run
    >>> def counting():
    ...     yield 1
    ...     return "done"
    ...
    >>> run(counting(), told=print)
    1
    'done'
    """
    with closing(steps):
        while not isinstance(step := advanced(steps), Ended):
            if told is not None:
                told(step)
        return step.result


def mapped(steps: Generator[Step, None, Result], told: Callable[[Step], Told]) -> Generator[Told, None, Result]:
    """The steps, each as ``told`` says it, in their order; the result stays as it is.

    Whoever closes this closes the steps.

    >>> from simvis_core.steps import mapped, run
    >>> def counting():
    ...     yield 1
    ...     return "done"
    ...
    >>> run(mapped(counting(), "step {}".format), told=print)
    step 1
    'done'
    """
    with closing(steps):
        while not isinstance(step := advanced(steps), Ended):
            yield told(step)
        return step.result


def in_turn(
    steps: Generator[Step, None, Result], turn: Callable[[Callable[[], Any]], Any]
) -> Generator[Step, None, Result]:
    """The steps, and the result, unchanged; each step is made inside ``turn``, and nothing of them between two.

    ``turn`` is called with work, and gives what the work gives, whenever and in whatever thread it chooses. Whoever
    closes this between two steps closes the steps.

    >>> from simvis_core.steps import in_turn, run
    >>> def counting():
    ...     yield 1
    ...     return "done"
    ...
    >>> run(in_turn(counting(), turn=lambda work: work()))
    'done'
    """
    while not isinstance(step := turn(lambda: advanced(steps)), Ended):
        try:
            yield step
        except GeneratorExit:
            steps.close()
            raise
    return step.result


def counted(progress: Callable[[int, int], None] | None) -> Callable[[tuple[Any, ...]], None] | None:
    """For `run`, over steps that begin with how many of how many are done: hands those two numbers to ``progress``.

    >>> from simvis_core.steps import counted, run
    >>> def counting():
    ...     yield 1, 2
    ...     yield 2, 2
    ...     return "done"
    ...
    >>> run(counting(), counted(lambda done, total: print(done, "of", total)))
    1 of 2
    2 of 2
    'done'
    """
    return None if progress is None else lambda step: progress(step[0], step[1])
