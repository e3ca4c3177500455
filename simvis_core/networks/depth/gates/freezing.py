"""A network's operators frozen at one input: recorded as they run, and replayed as an affine map of the input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode

from simvis_core.errors import SimvisError
from simvis_core.networks.depth.gates.calls import (
    Call,
    changes_in_place,
    gives_tensors,
    is_affine_call,
    live_in,
    plain_name,
)
from simvis_core.networks.depth.gates.maxima import POOL
from simvis_core.networks.depth.gates.rows import Refused
from simvis_core.networks.depth.gates.rules import RULES

# Operators that are affine in their tensors, listed so that a recording need not try them out.
AFFINE = frozenset(
    {
        "conv1d",
        "conv2d",
        "linear",
        "add",
        "sub",
        "neg",
        "cat",
        "stack",
        "mean",
        "sum",
        "reshape",
        "view",
        "permute",
        "transpose",
        "flatten",
        "unflatten",
        "contiguous",
        "__getitem__",
        "__setitem__",
        "expand",
        "unsqueeze",
        "squeeze",
        "chunk",
        "split",
        "unbind",
        "float",
        "to",
        "type_as",
        "clone",
        "roll",
        "pad",
        "dropout",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "repeat",
    }
)
# How numbers leave the tensors: what a network decides by them cannot be frozen.
READING = frozenset(
    {
        "item",
        "tolist",
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "numpy",
        "nonzero",
    }
)
# A marked tensor that only changes its shape stays the gate that it is.
RESHAPING = frozenset(
    {
        "reshape",
        "view",
        "permute",
        "transpose",
        "flatten",
        "unflatten",
        "contiguous",
        "dropout",
        "float",
        "to",
        "unsqueeze",
        "squeeze",
        "expand",
        "clone",
    }
)


class Remembered(NamedTuple):
    """One call as it is replayed: the operator's name and what was remembered of it; None where it ran as it is."""

    name: str
    kept: Any


class Freezing(TorchFunctionMode):
    """Records, or replays, the operators that run while it is entered; ``tape`` is filled or read in their order.

    While it records, what asks for gradients depends on the input: everything else runs as it is. Each operator of
    `RULES` keeps at this input what makes it affine, and gives the network's own numbers. An operator that is neither
    in `RULES` nor affine as tried out is refused. While it replays, kept things stand, and every result is the affine
    map's.

    Raises SimvisError for an operator without a frozen form, and names it.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.freezing import Freezing
    >>> tape, x = [], torch.tensor([-1.0, 2.0], requires_grad=True)
    >>> with Freezing(tape):
    ...     y = torch.relu(x) + 1
    ...
    >>> with Freezing(tape, replaying=True):
    ...     torch.relu(torch.tensor([5.0, 5.0])) + 1
    ...
    tensor([1., 6.])
    """

    def __init__(self, tape: list[Remembered], *, replaying: bool = False, where: str = "the layer") -> None:
        super().__init__()
        self._tape, self._replaying, self._where = tape, replaying, where
        self._at = 0
        self._gates: dict[int, Tensor] = {}  # what came out of an activation, by id; kept, so that no id is used again

    def __torch_function__(
        self, function: Callable, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The operator, frozen where it has to be."""
        call = Call(plain_name(function), function, tuple(args), dict(kwargs or {}))
        if call.name not in RULES:
            return self._other(call)
        kept = self._replayed(call) if self._replaying else self._recorded(call)
        if kept is None:
            return self._marking(call, call.run())
        output = _written(call, RULES[call.name].apply(kept, call))
        if not self._replaying and RULES[call.name].makes_gates:
            self._gates[id(output)] = output
        return output

    def _recorded(self, call: Call) -> Any:
        try:
            kept = RULES[call.name].keep(call, self._gates) if live_in(call) else None
        except Refused as reason:
            raise self._refused(f"{call.name} ({reason})") from reason
        self._tape.append(Remembered(call.name, kept))
        return kept

    def _replayed(self, call: Call) -> Any:
        entry = self._tape[self._at]
        assert entry.name == call.name, "a network runs the same operators for every input of one size"
        self._at += 1
        return entry.kept

    def _other(self, call: Call) -> Any:
        if self._replaying or call.name in AFFINE or not live_in(call):
            return self._marking(call, call.run())
        if call.name in READING or (gives_tensors(call) and not is_affine_call(call)):
            raise self._refused(call.name)
        return call.run()

    def _marking(self, call: Call, output: Any) -> Any:
        """The output, which is a gate where it is one in another shape."""
        if call.name in RESHAPING and call.args and id(call.args[0]) in self._gates and isinstance(output, Tensor):
            self._gates[id(output)] = output
        return output

    def _refused(self, name: str) -> SimvisError:
        return SimvisError(
            f"the operator '{name}' behind {self._where}",
            "operators that can be frozen",
            "choose the rule 'path', which needs none, or a later layer",
        )


def _written(call: Call, output: Any) -> Any:
    """The output; of a call that changes its first argument, that argument with the output in it."""
    if not changes_in_place(call):
        return output
    first: Tensor = call.args[0]
    return first if output is first else first.copy_(output)


def affine_part(tape: Sequence[Remembered]) -> bool:
    """Whether all is affine as it stands but the pooling, whose split is its own: the map is the network's everywhere.

    >>> from simvis_core.networks.depth.gates.freezing import Remembered, affine_part
    >>> affine_part([Remembered("mul", None)])
    True
    """
    return all(entry.kept is None or entry.name in (POOL, "batch_norm") for entry in tape)
