"""Attention rollout: worked by hand, against a loop, and on the networks of two libraries with their own attention."""

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torchvision.models import VisionTransformer

import model_zoo
from model_zoo.architectures import arranging, timm_networks, torchvision_networks
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS, draw_map
from simvis_core.networks.attention import attention_weights, rollout
from simvis_core.trust.sanity import randomised as redrawn
from tests import references
from tests.simvis_core.drawings import Attending, drawn, network, question

attention_rollout = EXPLAINERS["attention_rollout"].draw


def some_attention(blocks=3, heads=2, tokens=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(torch.randn(blocks, heads, tokens, tokens, generator=generator, dtype=torch.float64) * 2, -1)


def test_two_blocks_by_hand():
    """Three tokens, token 0 reads.

    First block: 0 looks at 1 alone, 1 at 2 alone, 2 at itself. Second: 0 at 2 alone, 1 and 2 at themselves. Half is
    always the skip. Second: (1, 0, 0) -> (1/2, 0, 1/2). First: 1/2 (1/2, 1/2, 0) + 1/2 (0, 0, 1) = (1/4, 1/4, 1/2).
    """
    first = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 0, 1]])
    second = torch.tensor([[0.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    found = rollout(torch.stack([first, second])[:, None], torch.tensor([1.0, 0, 0]))
    assert found.tolist() == [0.25, 0.25, 0.5]


def test_heads_are_averaged():
    heads = torch.tensor([[[1.0, 0], [0, 1]], [[0, 1.0], [1, 0]]])
    assert rollout(heads[None], torch.tensor([1.0, 0])).tolist() == [0.75, 0.25]


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_product_of_the_papers_matrices(seed):
    attentions = some_attention(4, 3, 6, seed)
    reader = torch.rand(6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert np.allclose(rollout(attentions, reader).numpy(), references.rollout_map(attentions, reader), atol=1e-12)


def test_what_reaches_the_reader_sums_to_the_reader():
    for weights in ([1.0, 0, 0, 0, 0], [0.2] * 5, [0, 3.0, 0, 1, 0]):
        reader = torch.tensor(weights, dtype=torch.float64)
        found = rollout(some_attention(), reader)
        assert abs(float(found.sum() - reader.sum())) < 1e-12
        assert found.min() >= 0


# Networks


@pytest.fixture(scope="module")
def timm_vit():
    """A plain vision transformer of timm as `model_zoo` arranges it, its norms random."""
    torch.manual_seed(2)
    vit = TimmViT(img_size=32, patch_size=8, embed_dim=12, depth=3, num_heads=3, num_classes=0, dynamic_img_size=True)
    return arranged(vit, timm_networks.anatomy(randomised(vit), torch.randn(1, 3, 32, 32)))


@pytest.fixture(scope="module")
def torchvision_vit():
    torch.manual_seed(2)
    vit = VisionTransformer(32, 8, num_layers=3, num_heads=3, hidden_dim=12, mlp_dim=20)
    vit.heads = torch.nn.Identity()
    return arranged(vit, torchvision_networks.anatomy(randomised(vit), torch.randn(1, 3, 32, 32)))


def randomised(vit):
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return vit.eval()


def arranged(vit, anatomy):
    return vit, EmbeddingNetwork(anatomy.trunk, "token", None, Preprocess(short_side=32, stride=8), name="vit")


def pixels(size=(32, 48), seed=3):
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def hooked(modules, run):
    """What went in and what came out of each module while ``run`` ran."""
    told = [[] for _ in modules]
    hooks = [
        module.register_forward_hook(lambda _, args, out, told=one: told.append((args[0], out)))
        for module, one in zip(modules, told, strict=True)
    ]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    return [one[0] for one in told]


def by_hand(qkv, heads):
    """softmax(q k / sqrt(d)) of one block's packed queries, keys and values (N, 3 C)."""
    queries, keys, _ = (part.reshape(len(qkv), heads, -1).transpose(0, 1) for part in qkv.chunk(3, dim=1))
    return torch.softmax(queries @ keys.mT / queries.shape[-1] ** 0.5, -1)


def carried(attentions, qkv, heads):
    """The values as the attention mixes them, heads side by side: what goes into the output layer."""
    values = qkv.chunk(3, dim=1)[2].reshape(len(qkv), heads, -1).transpose(0, 1)
    return (attentions @ values).transpose(0, 1).flatten(1)


def check_timm(vit, network, size, heads):
    picture = pixels(size)
    with torch.inference_mode():
        found = network.backbone.attentions(picture)
    attention = [block.attn for block in vit.blocks]
    packed = hooked([one.qkv for one in attention], lambda: network.activations(picture))
    mixed = hooked([one.proj for one in attention], lambda: network.activations(picture))
    assert found.shape == (len(attention), heads, *found.shape[-1:] * 2)
    assert torch.allclose(found.sum(-1), torch.ones(found.shape[:-1]), atol=1e-5)
    for one, (_, qkv), (entered, _) in zip(found, packed, mixed, strict=True):
        assert torch.allclose(one, by_hand(qkv[0], heads), atol=1e-5)
        assert torch.allclose(carried(one, qkv[0], heads), entered[0], atol=1e-4)
    return found


def test_timms_attention_is_what_its_own_blocks_did(timm_vit):
    found = check_timm(*timm_vit, (32, 48), 3)
    assert found.shape[-1] == 1 + 4 * 6
    assert float((found - 1 / 25).abs().max()) > 0.1


def test_timms_attention_gives_the_networks_own_class_token(timm_vit):
    """The last block's row of attention, its values, and everything behind it, without timm's attention."""
    vit, network = timm_vit
    picture = pixels()
    with torch.inference_mode():
        last = network.backbone.attentions(picture)[-1]
        block = vit.blocks[-1]
        tokens, _ = hooked([block], lambda: network.activations(picture))[0]
        qkv = block.attn.qkv(block.norm1(tokens[0]))
        middle = tokens[0] + block.ls1(block.attn.proj(carried(last, qkv, 3)))
        after = vit.norm(middle + block.ls2(block.mlp(block.norm2(middle))))
        assert torch.allclose(after[0], network.activations(picture).pooled[0], atol=1e-4)


def test_torchvisions_attention_is_its_own(torchvision_vit):
    vit, network = torchvision_vit
    for size in ((32, 32), (32, 48)):
        picture = pixels(size)
        with torch.inference_mode():
            found = network.backbone.attentions(picture)
        blocks = list(vit.encoder.layers)
        entered = [tokens for tokens, _ in hooked(blocks, lambda: network.activations(picture))]  # noqa: B023
        for one, block, tokens in zip(found, blocks, entered, strict=True):
            with torch.inference_mode():
                normed = block.ln_1(tokens)
                _, own = block.self_attention(normed, normed, normed, average_attn_weights=False)
            assert torch.allclose(one, own[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["timm_vit", "torchvision_vit"])
def test_the_map_is_the_class_tokens_row_of_the_rollout(kind, request):
    _, network = request.getfixturevalue(kind)
    asked = Question(network, view_of(pixels()[0]), torch.randn(12))
    found = drawn(attention_rollout, asked)
    with torch.inference_mode():
        attentions = network.backbone.attentions(pixels())
    slow = references.rollout_map(attentions.double(), np.eye(25)[0])
    assert found.shape == (4, 6)
    assert np.allclose(found.numpy(), slow[1:].reshape(4, 6), atol=1e-5)
    assert abs(float(found.sum()) + slow[0] - 1) < 1e-5


def test_cells_that_are_averaged_read_together(timm_vit):
    """Under average pooling the embedding is read off the cells, and the class token off nothing."""
    _, network = timm_vit
    asked = Question(network.with_pooling("avg"), view_of(pixels()[0]), torch.randn(12))
    with torch.inference_mode():
        attentions = network.backbone.attentions(pixels())
    slow = references.rollout_map(attentions.double(), [0] + [1 / 24] * 24)
    assert np.allclose(drawn(attention_rollout, asked).numpy(), slow[1:].reshape(4, 6), atol=1e-5)


def test_without_a_class_token_all_of_the_attention_is_in_the_map():
    map = drawn(attention_rollout, question(network()))
    assert map.shape == (2, 3)
    assert abs(float(map.sum()) - 1) < 1e-12
    made = network()
    asked = question(made)
    slow = references.rollout_map(made.backbone.attentions(asked.view.pixels[None]).detach(), [1 / 6] * 6)
    assert np.allclose(drawn(attention_rollout, asked).numpy().flatten(), slow, atol=1e-12)


def test_it_knows_nothing_of_the_query(timm_vit):
    _, network = timm_vit
    one, other = (drawn(attention_rollout, Question(network, view_of(pixels()[0]), torch.randn(12))) for _ in range(2))
    assert torch.equal(one, other)


def view_of(picture):
    from PIL import Image

    from simvis_core import View

    height, width = picture.shape[1:]
    return View(Image.new("RGB", (width, height)), picture, (0.0, 0.0, float(width), float(height)))


def test_views_in_double_precision_of_a_network_in_single(timm_vit):
    _, network = timm_vit
    single = drawn(attention_rollout, Question(network, view_of(pixels()[0]), torch.randn(12)))
    double = drawn(attention_rollout, Question(network, view_of(pixels()[0].double()), torch.randn(12)))
    assert torch.allclose(single.double(), double.double(), atol=1e-5)


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "timm/deit_tiny_distilled_patch16_224"])
def test_a_whole_network_by_its_name(name):
    torch.manual_seed(11)
    network = arranging.untrained(name)
    shown = view_of(pixels((32, 48))[0])
    if "distilled" in name:  # two tokens, pooled by the network itself: nobody says what is read
        with pytest.raises(
            SimvisError, match=r"on the engine 'eager', which shows no attention; wanted a plain vision"
        ):
            draw_map("attention_rollout", network, shown, torch.randn(192))
        return
    check_timm(network.backbone.network, network, (32, 48), 3)
    assert draw_map("attention_rollout", network, shown, torch.randn(192)).map.shape == (2, 3)


def test_a_convolutional_network_has_no_attention(tiny_network):
    with pytest.raises(SimvisError, match=r"Got tiny on the engine 'eager', which shows no attention; wanted a plain"):
        draw_map("attention_rollout", tiny_network, view_of(pixels((16, 24))[0]), torch.randn(5))


def test_weights_of_one_block():
    block = Attending().double()
    tokens = torch.randn(5, 6, dtype=torch.float64)
    with torch.inference_mode():
        found = attention_weights((block.norm, block.attend), tokens)
        queries, keys, _ = block.attend(block.norm(tokens))
    for head, row, column in np.ndindex(2, 5, 5):
        logits = [float(queries[head, row] @ keys[head, other]) for other in range(5)]
        expected = np.exp(logits[column]) / np.exp(logits).sum()
        assert abs(float(found[head, row, column]) - expected) < 1e-12


def test_a_copy_of_a_network_looks_with_its_own_weights():
    """Random weights are tried on copies: one that still looked as the original does would hide what they change."""
    original = model_zoo.untrained("timm/vit_tiny_patch16_224")
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    shaken, fresh = redrawn(original, 1.0, seed=3), model_zoo.untrained("timm/vit_tiny_patch16_224")
    fresh.backbone.load_state_dict(shaken.backbone.state_dict())
    with torch.inference_mode():
        before, copied, own = (one.backbone.attentions(pixels) for one in (original, shaken, fresh))
    assert torch.allclose(copied, own, atol=1e-6)
    assert not torch.allclose(copied, before, atol=1e-4)
    assert shaken.split(shaken.activations(pixels).one()) is not None
