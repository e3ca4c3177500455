"""Activations by their secant slopes, gates as constants, and products of two live branches."""

from typing import Any

import torch
from torch import Tensor

from simvis_core.networks.depth.gates.calls import Call, changes_in_place, is_live
from simvis_core.networks.depth.gates.rows import FrozenOperator, Gates, Refused

# Activations: each entry keeps the secant slope (f(x) - f(0)) / x that it has at this input.


@torch.no_grad()
def _secant(call: Call, _gates: Gates) -> tuple[Tensor, Tensor | None]:
    x = call.given(0, "input")
    if not is_live(x):
        raise Refused("parameters of it that depend on the picture")
    x = x.detach()
    # One entry says what 0 becomes, where every entry is treated alike.
    alike = not any(isinstance(value, Tensor) for value in (*call.args[1:], *call.kwargs.values()))
    zero = call.on(x.new_zeros(1) if alike else torch.zeros_like(x)).run()
    slope = call.on(x.clone() if changes_in_place(call) else x).run()
    shifts = bool(zero.any())
    slope = ((slope - zero) if shifts else slope).div_(x)
    if not bool(slope.sum().isfinite()):  # 0 / 0, where an entry is exactly 0
        slope.masked_fill_(x == 0, 0)
    return slope, zero if shifts else None


def _by_slope(kept: tuple[Tensor, Tensor | None], call: Call) -> Tensor:
    slope, zero = kept
    x: Tensor = call.given(0, "input")
    y = x.mul_(slope) if changes_in_place(call) else x * slope
    return y if zero is None else y.add_(zero)


# Gates and statistics: the output is a constant.


@torch.no_grad()
def _output(call: Call, _gates: Gates) -> Any:
    return _detached(call.on(call.given(0, "input").detach().clone()).run())


def _detached(output: Any) -> Any:
    return output.detach() if isinstance(output, Tensor) else type(output)(_detached(one) for one in output)


def _constant(kept: Any, _call: Call) -> Any:
    return kept.clone() if isinstance(kept, Tensor) else kept


# Products and quotients: of two live branches one is a gate.


def _gate_of_product(call: Call, gates: Gates) -> tuple[int, Tensor] | None:
    """The operand that an activation gave; else the one that is broadcast; else the second."""
    at, operands = _operands(call)
    if len(operands) != 2:
        raise Refused("of more than two tensors")
    if not all(is_live(operand) for operand in operands):
        return None
    marked = [id(operand) in gates for operand in operands]
    sizes = [operand.numel() for operand in operands]
    broadcast = call.name == "mul" and sizes[0] < sizes[1]
    gate = marked.index(True) if marked[0] != marked[1] else int(not broadcast)
    return at + gate, operands[gate].detach().clone()


def _operands(call: Call) -> tuple[int, tuple[Any, ...]]:
    """Where the operands begin, and what they are; einsum has its equation in front."""
    if call.name == "einsum":
        return 1, call.args[1:]
    return 0, (call.given(0, "input"), call.given(1, "other", call.kwargs.get("mat2")))


def _with_gate(kept: tuple[int, Tensor], call: Call) -> Tensor:
    at, gate = kept
    start, operands = _operands(call)
    live = list(operands)
    live[at - start] = gate
    return call.on(*call.args[:start], *live).run() if start else _two(call, live)


def _two(call: Call, operands: list[Any]) -> Tensor:
    if call.name == "mul":
        return operands[0] * operands[1]
    product: Tensor = operands[0] @ operands[1]
    return product


def _denominator(call: Call, _gates: Gates) -> Tensor | None:
    below = call.given(1, "other")
    if "rounding_mode" in call.kwargs:
        raise Refused("with rounding")
    return below.detach().clone() if is_live(below) else None


def _over(kept: Tensor, call: Call) -> Tensor:
    above: Tensor = call.given(0, "input")
    return above / kept


def _glu_gate(call: Call, _gates: Gates) -> Tensor:
    """GLU multiplies by a sigmoid: the gate, and so frozen."""
    return torch.sigmoid(call.given(0, "input").detach().chunk(2, call.given(1, "dim", -1))[1])


def _gated(kept: Tensor, call: Call) -> Tensor:
    value: Tensor = call.given(0, "input").chunk(2, call.given(1, "dim", -1))[0]
    return value * kept


ACTIVATION = FrozenOperator(_secant, _by_slope, makes_gates=True)
CONSTANT = FrozenOperator(_output, _constant)
PRODUCT = FrozenOperator(_gate_of_product, _with_gate)
QUOTIENT = FrozenOperator(_denominator, _over)
GLU = FrozenOperator(_glu_gate, _gated)
