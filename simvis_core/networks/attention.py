"""Where a transformer's tokens look: its last block split over the tokens it attends to, and all blocks rolled out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.networks.heads import HeadSplit, split_head

Heads = tuple[Tensor, Tensor, Tensor]
Looking = tuple[nn.Module, Callable[[Tensor], Heads]]  # a block's norm, and its queries, keys and values


@dataclass(frozen=True)
class LastBlock:
    """A pre-norm transformer block and the norm behind it, as functions of single tokens.

    ``attend`` gives queries (already scaled), keys and values, each (heads, N, d), of the normed tokens (N, C);
    ``out`` is the layer behind the heads, ``gain`` a layer scale (or the identity); ``mlp`` is everything that is
    added after attention, its norm and layer scale included; ``norm`` is the network's final norm.
    """

    before: nn.Module
    attend: Callable[[Tensor], Heads]
    out: nn.Linear
    gain: nn.Module
    mlp: nn.Sequential
    norm: nn.Module


def class_token_parts(
    block: LastBlock, tokens: Float[Tensor, "N C"]
) -> tuple[Float[Tensor, "N C"], Float[Tensor, " C"]]:
    """How much of the class token each token's value brings in through the last block, and the rest.

    ``parts.sum(0) + rest`` is the network's own class token (token 0) after the final norm. Attention weights, norms
    and activations are frozen at this input. The rest is what the class token had gathered before the last block, and
    all offsets: an explanation by the parts alone leaves it out. Where the block's mlp cannot be split its output
    belongs to the rest as a whole. After Kobayashi et al. 2020 (norms of value vectors, eq. 3) and the frozen norms of
    Achtibat et al. 2024 (AttnLRP).

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.attention import LastBlock, class_token_parts
    >>> heads = lambda tokens: (tokens[None], tokens[None], tokens[None])  # one head: queries, keys, values
    >>> keep = nn.Identity()
    >>> block = LastBlock(keep, heads, nn.Linear(3, 3), keep, nn.Sequential(nn.Linear(3, 3)), nn.LayerNorm(3))
    >>> parts, rest = class_token_parts(block, torch.eye(3)[[0, 1, 2, 0]])
    >>> parts.shape, rest.shape
    (torch.Size([4, 3]), torch.Size([3]))
    """
    queries, keys, values = block.attend(block.before(tokens))
    attention = torch.softmax((queries[:, :1] * keys).sum(-1), dim=-1)  # (heads, N): what token 0 looks at
    weighted = (attention[:, :, None] * values).permute(1, 0, 2).flatten(1)
    brought = block.gain(weighted @ block.out.weight.T)
    before = tokens[0] if block.out.bias is None else tokens[0] + block.gain(block.out.bias[None])[0]
    middle = before + brought.sum(0)
    added = _split(block.mlp, middle)
    brought, before = brought + added.linear(brought), before + added.linear(before[None])[0] + added.bias
    after = split_head(block.norm, brought.sum(0) + before)
    return after.linear(brought), after.linear(before[None])[0] + after.bias


def _split(mlp: nn.Sequential, x: Tensor) -> HeadSplit:
    """The mlp's split at x; what has none adds its output and no share of it."""
    split = split_head(mlp, x)
    if split.verdict != "black box":
        return split
    return HeadSplit(torch.zeros_like, mlp(x[None])[0], "black box")


def rollout(attentions: Float[Tensor, "L heads N N"], reader: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """How much of each input token reaches what the reader sums up, 0 to 1; the parts sum to the reader's.

    Heads are averaged, half of each block is its skip connection, and the blocks are multiplied (Abnar & Zuidema 2020,
    attention rollout). It knows nothing of a query. ``reader`` is 1 at the class token, or a mean over cells.

    >>> import torch
    >>> from simvis_core.networks.attention import rollout
    >>> attentions = torch.tensor([[[[0.5, 0.5], [0.0, 1.0]]]])  # one block, one head, two tokens
    >>> rollout(attentions, torch.tensor([1.0, 0.0]))
    tensor([0.7500, 0.2500])
    """
    flow = reader
    for block in reversed(attentions.mean(1)):
        flow = (flow @ block + flow) / 2
    return flow


def attention_weights(looking: Looking, tokens: Float[Tensor, "N C"]) -> Float[Tensor, "heads N N"]:
    """A block's attention on the tokens that enter it; each row sums to 1.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.attention import attention_weights
    >>> heads = lambda tokens: (tokens[None], tokens[None], tokens[None])
    >>> attention_weights((nn.Identity(), heads), torch.eye(2))
    tensor([[[0.7311, 0.2689],
             [0.2689, 0.7311]]])
    """
    before, attend = looking
    queries, keys, _ = attend(before(tokens))
    return torch.softmax(queries @ keys.transpose(1, 2), dim=-1)
