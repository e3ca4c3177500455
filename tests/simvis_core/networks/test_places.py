"""A cell is drawn where it looks: centres by arithmetic against the pixels that a cell's gradient weighs."""

import pytest
import torch
from PIL import Image
from torch import nn

from model_zoo.architectures.arranging import untrained
from simvis_core import EmbeddingNetwork, Preprocess, enlarge, explain_features, explain_pair, weights_at, weights_in
from simvis_core.networks.depth.behind import FEATURES, Behind
from simvis_core.pictures.centres import Centres
from simvis_core.pictures.views import View, cell_at

WEIGHTS = 20


class Same(nn.Module):
    """A convolution of stride 2 under TensorFlow's SAME padding, which depends on the view's size."""

    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.kernel, self.conv = kernel, nn.Conv2d(inputs, outputs, kernel, stride=2)

    def forward(self, x):
        pads = []
        for side in (x.shape[3], x.shape[2]):
            whole = max((-(-side // 2) - 1) * 2 + self.kernel - side, 0)
            pads += [whole // 2, whole - whole // 2]
        return self.conv(nn.functional.pad(x, pads))


class Residual(nn.Module):
    """Two branches of stride 2: their centres agree, or (``average``) lie half a position apart."""

    def __init__(self, channels, average=False):
        super().__init__()
        self.own = nn.Sequential(nn.Conv2d(channels, channels, 3, 2, 1), nn.Conv2d(channels, channels, 3, padding=1))
        self.short = nn.AvgPool2d(2, 2) if average else nn.Conv2d(channels, channels, 1, 2)

    def forward(self, x):
        return self.own(x) + self.short(x)


class Merging(nn.Module):
    """Patches as tokens, of which every four neighbours become one; or their four slices laid side by side."""

    def __init__(self, sliced):
        super().__init__()
        self.sliced, self.patches, self.merge = sliced, nn.Conv2d(3, 4, 4, 4), nn.Linear(16, 5)

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        if self.sliced:
            x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        else:
            b, h, w, c = x.shape
            x = x.reshape(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)
        return self.merge(x).permute(0, 3, 1, 2)


class Gated(nn.Module):
    """A gate by the mean of all places moves no cell."""

    def __init__(self):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        return x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()


TINY = {
    "patches": lambda: nn.Conv2d(3, 4, 8, 8),
    "stride 2, symmetric padding": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)),
    "SAME": lambda: nn.Sequential(Same(3, 4, 3), nn.ReLU(), Same(4, 4, 5)),
    "no padding": lambda: nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.MaxPool2d(3, 2)),
    "dilated": lambda: nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 4, 2, padding=1, dilation=3)),
    "residual": lambda: nn.Sequential(nn.Conv2d(3, 4, 1), Residual(4), Residual(4)),
    "merged": lambda: Merging(sliced=False),
    "sliced": lambda: Merging(sliced=True),
    "gated": Gated,
    "enlarged": lambda: nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Upsample(scale_factor=2, mode="bilinear")),
    "transposed": lambda: nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ConvTranspose2d(4, 4, 3, 2, 1)),
}


def net_of(backbone, stride=4, side=32):
    return EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=side, stride=stride))


def centroid(network, size, seed):
    """Grid, and centroid over the pixels (row, column) of |d cell / d pixels| for the cell in the middle."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randn(1, 3, *size, generator=draw).requires_grad_()
    behind = network.depth.behind if network.depth else Behind(network.backbone, FEATURES)
    output = behind.whole(pixels)[1]
    rows, columns = network.centres(size).grid
    if output.ndim == 3:
        cell = output[0, -rows * columns :].unflatten(0, (rows, columns))[rows // 2, columns // 2]
    else:
        maps = output if output.shape[2:] == (rows, columns) else output.permute(0, 3, 1, 2)
        cell = maps[0, :, rows // 2, columns // 2]
    (cell @ torch.randn(len(cell), generator=draw).to(cell)).backward()
    weight = pixels.grad[0].double().abs().sum(0)
    return [float(weight.sum(1 - axis) @ torch.arange(size[axis]).double() / weight.sum()) for axis in (0, 1)]


def misses(make, size, count=WEIGHTS, layer=None):
    """How far the centre lies from the mean centroid over random weights, in cells: (rows, columns)."""
    gaps = []
    for seed in range(count):
        torch.manual_seed(seed)
        network = make()
        network = network.at(layer) if layer else network
        centres = network.centres(size)
        steps = [centres.line(axis)[1] * size[axis] for axis in (0, 1)]
        middle = View(Image.new("RGB", (1, 1)), torch.zeros(3, *size), (0, 0, 1, 1), centres).middle_of(
            centres.grid, centres.grid[0] // 2, centres.grid[1] // 2
        )
        found = centroid(network, size, seed)
        gaps.append([(one - other) / step for one, other, step in zip(found, middle, steps, strict=True)])
    return torch.tensor(gaps).mean(0).abs().tolist()


@pytest.mark.parametrize("name", TINY)
def test_a_cell_looks_where_its_centre_is(name):
    assert max(misses(lambda: net_of(TINY[name]()), (40, 56))) < 0.1


def test_layers_and_views_of_other_sizes_have_their_own_centres():
    make = lambda: net_of(TINY["SAME"]())
    assert max(misses(make, (44, 60), layer="0")) < 0.1
    network = make()
    plain = [network.centres(size).facts(size)["rows"] for size in ((40, 40), (41, 41))]
    assert plain[0][0] - plain[1][0] > 0.4  # an odd side is padded on both ends


def even_weights(network):
    for parameter in network.backbone.parameters():
        nn.init.ones_(parameter)
    return network


@pytest.mark.parametrize(
    ("name", "size", "rows"),
    [
        ("stride 2, symmetric padding", (32, 48), [0.0, 4.0]),  # resnet18's fault, over two layers
        ("SAME", (32, 48), [3.0, 4.0]),  # 1, then 2 * 1 more
        ("SAME", (33, 33), [0.0, 4.0]),
        ("no padding", (33, 33), [4.0, 4.0]),
        ("patches", (32, 48), [3.5, 8.0]),
        ("transposed", (32, 32), [1.5, 2.0]),
    ],
)
def test_centres_worked_by_hand(name, size, rows):
    assert even_weights(net_of(TINY[name]())).centres(size).facts(size)["rows"] == rows


def test_a_kernel_that_leans_to_one_side_is_followed():
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    with torch.no_grad():
        layer.weight[..., :2, :] = 0
    facts = net_of(layer).centres((32, 32)).facts((32, 32))
    assert facts["rows"] == [1.0, 2.0]  # the last row alone looks: one pixel below the middle


def test_what_cannot_be_known_is_none_and_said():
    apart = net_of(nn.Sequential(*[Residual(3, average=True) for _ in range(3)]), stride=8)
    outside = net_of(nn.Conv2d(3, 4, 1, stride=4, padding=4))
    one_cell = net_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 1024, 4), nn.Unflatten(1, (4, 1, 1))))
    for network in (apart, outside, one_cell):
        assert network.centres((32, 32)) is None
    pair = explain_pair(apart, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    told = pair.manifest()["pictures"]["a"]["cell_centres"]
    assert told["from"] == "even grid"
    assert told["rows"] == [3.5, 8.0]
    assert pair.view_a.centres is None


SHIFTED = Centres((4, 5), down=(0.02, 0.23), across=(0.3, 0.11))


def test_law_10_and_14_hold_wherever_cells_look():
    size, map = (23, 31), torch.randn(4, 5, dtype=torch.float64)
    drawn = enlarge(map, size, SHIFTED)
    for x, y in ((0, 0), (17, 9), (30, 22), (11, 3)):
        weights = weights_at(x, y, size, (4, 5), SHIFTED)
        assert (weights >= 0).all()
        assert abs(float(weights.sum()) - 1) < 1e-12
        assert abs(float((weights * map).sum() - drawn[y, x])) < 1e-12
    assert torch.allclose(enlarge(torch.ones(4, 5), size, SHIFTED), torch.ones(size))


def test_regions_add_and_the_whole_view_is_every_cell():
    mask = torch.rand(23, 31) > 0.5
    parts = weights_in(mask, (4, 5), SHIFTED) + weights_in(~mask, (4, 5), SHIFTED)
    assert torch.allclose(parts, torch.ones(4, 5, dtype=torch.float64))


def test_a_cell_lands_on_what_lies_nearest_to_it_and_a_click_finds_it():
    view = View(Image.new("RGB", (62, 46)), torch.zeros(3, 23, 31), (0.0, 0.0, 62.0, 46.0), SHIFTED)
    for row in range(4):
        for column in range(5):
            left, top, right, bottom = view.cell_box((4, 5), row, column)
            one = torch.zeros(4, 5, dtype=torch.float64)
            one[row, column] = 1.0
            strong = (view.on_original(one) > 0.5).nonzero()
            inside = (strong[:, 0] + 0.5 > top) & (strong[:, 0] + 0.5 < bottom)
            assert len(strong)
            assert bool(inside.all())
            assert bool(((strong[:, 1] + 0.5 > left) & (strong[:, 1] + 0.5 < right)).all())
            y, x = view.middle_of((4, 5), row, column)
            assert cell_at(x, y, view.size, (4, 5), SHIFTED) == (row, column)
    assert view.cell_box((4, 5), 0, 0)[:2] == (0.0, 0.0)
    assert view.cell_box((4, 5), 3, 4)[2:] == (62.0, 46.0)
    assert view.placed((2, 2)) is None  # a map of another grid lies evenly


def test_a_pair_draws_and_asks_where_cells_look():
    network = even_weights(net_of(TINY["stride 2, symmetric padding"]()))
    red = Image.radial_gradient("L").resize((60, 40)).convert("RGB")
    pair = explain_pair(network, red, Image.new("RGB", (40, 40), "red"))
    assert pair.manifest()["pictures"]["a"]["cell_centres"] == {
        "from": "receptive fields",
        "rows": [0.0, 4.0],
        "columns": [0.0, 4.0],
    }
    assert abs(pair.point_share("a", 8, 4) - float(pair.map_a[1, 2])) < 1e-6  # the pixel that the cell looks at
    again = explain_features(network, pair.view_a, pair.view_b, pair.activations_a, pair.activations_b)
    assert again.view_a.centres == pair.view_a.centres == network.centres(pair.view_a.size)
    masked = explain_pair(network, red, red, method="sliding window")
    assert masked.view_a.centres is None  # where the picture was hidden: evenly


NAMES = {
    "timm/resnet18": 224,
    "timm/resnet26": 224,
    "timm/resnet10t": 224,
    "timm/mobilenetv2_050": 224,
    "timm/mobilenetv3_small_050": 224,
}


def drawn_anew(name):
    """The architecture under random weights in which no branch is switched off, as zero-initialised norms would."""
    network = untrained(name)
    for module in network.backbone.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_cells_look_where_their_centres_are_in_whole_architectures(name):
    network = untrained(name)
    fixed = network.preprocess.fixed_size
    side = fixed[0] if fixed else 2 * NAMES[name] // 32 * 32 + NAMES[name] % 32 + 32
    assert max(misses(lambda: drawn_anew(name), (side, side))) < 0.1
