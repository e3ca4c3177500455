"""A row of the table of frozen operators, and what refuses a form of one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from simvis_core.networks.depth.gates.calls import Call

Gates = Mapping[int, Tensor]


class Refused(Exception):  # noqa: N818  (what becomes of the call, not what went wrong)
    """A form of an operator that has no frozen form."""


class FrozenOperator(NamedTuple):
    """A row of `RULES`. ``keep`` gives what is remembered of a call, None for one that is affine as it is.

    ``apply`` gives, from what was kept and a call with any other input, the affine map's output. ``makes_gates``: the
    output is the gate where it is multiplied with another live branch.
    """

    keep: Callable[[Call, Gates], Any]
    apply: Callable[[Any, Call], Any]
    makes_gates: bool = False


def arguments(call: Call, *names: str) -> dict[str, Any]:
    """A call's arguments by name; the operator's own signature is written in C, or stands behind a dispatcher.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import Call
    >>> from simvis_core.networks.depth.gates.rows import arguments
    >>> arguments(Call("amax", torch.amax, (torch.zeros(1), 0), {"keepdim": True}), "input", "dim")
    {'input': tensor([0.]), 'dim': 0, 'keepdim': True}
    """
    return dict(zip(names, call.args, strict=False)) | call.kwargs
