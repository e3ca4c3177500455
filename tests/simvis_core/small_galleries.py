"""Tiny pictures on disk, a network without any offset that tells them apart, and galleries of them."""

from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess
from simvis_core.galleries.gallery import open_gallery
from simvis_core.galleries.indexing import index_pictures
from simvis_core.pictures.listing import Listing, listed
from simvis_core.stores.edge import EdgeIndex

SIZES = ((20, 14), (14, 20), (16, 16), (40, 10))  # width, height: views of 32 x 48, 48 x 32, 32 x 32 and 32 x 128
PREPROCESS = Preprocess(mean=(0.0,) * 3, std=(1.0,) * 3, short_side=32, stride=8)


def picture(seed, size=(20, 14)):
    """A few blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def saved(path, seed, size=(20, 14)):
    """A picture in a file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, size).save(path)
    return path


def class_folders(root, sizes=SIZES, **counts):
    """So many pictures of each label, no two alike, in turn of every size."""
    seeds = iter(range(1000))
    for label, count in counts.items():
        for at in range(count):
            seed = next(seeds)
            saved(root / label / f"{at}.png", seed, sizes[seed % len(sizes)])
    return root


@cache
def backbone(seed=11):
    """Signed features of 12 channels, no offsets: a black picture has none at all."""
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 8, 4, 4, bias=False), nn.ReLU(), nn.Conv2d(8, 12, 2, 2, bias=False)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def network(pooling="avg", head=None, seed=11, preprocess=PREPROCESS):
    return EmbeddingNetwork(backbone(seed), pooling, head, preprocess, name="tiny")


def biased_head():
    torch.manual_seed(5)
    return nn.Linear(12, 9).requires_grad_(False)


def gallery_in(folder, name="birds"):
    """A gallery of its own with a store of its own, to be closed by `gallery.index.close()`."""
    return open_gallery(name, folder / "home", EdgeIndex(folder / "home" / "index"), create=True)


def steps(gallery, source, networks=None, short_side=32, framing="whole", **options):
    listing = source if isinstance(source, Listing) else listed(source)
    return index_pictures(gallery, listing, networks or [network()], short_side, framing, **options)


def indexed(gallery, source, networks=None, **options):
    """The last word of a run that is not disturbed."""
    return list(steps(gallery, source, networks, **options))[-1]


def rows_by_file(gallery, network, short_side=32, framing="whole"):
    """File name -> row, with its embedding."""
    space = gallery.space(network, short_side, framing)
    return {row.file: row for row in gallery.index.scan(space, embeddings=True)}
