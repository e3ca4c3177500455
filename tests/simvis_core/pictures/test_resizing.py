"""Two ways to shrink a picture: they agree to a grey level, and each is used where it says."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import Preprocess, SimvisError, explain_pair
from simvis_core.pictures import resizing
from simvis_core.pictures.resizing import RESIZINGS, check_resizing, resized
from tests.simvis_core.small_galleries import class_folders, gallery_in, indexed, network, rows_by_file


def photograph(width, height, seed=0):
    """Smooth colours under fine noise: what a kernel that skips pixels would get wrong."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height))
    noise = random.integers(-40, 41, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse).astype(int) + noise, 0, 255).astype(np.uint8))


LARGE = photograph(1240, 1010)
WHOLE = (0.0, 0.0, 1240.0, 1010.0)


def pillows(image, size, box, resampling):
    return np.asarray(image.resize(size, Image.Resampling[resampling.upper()], box=box))


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
def test_the_quick_way_is_pillows_to_a_grey_level(resampling):
    quick = resized(LARGE, (96, 64), WHOLE, resampling, "quick").astype(int)
    reference = pillows(LARGE, (96, 64), WHOLE, resampling).astype(int)
    assert quick.shape == (64, 96, 3)
    assert abs(quick - reference).max() <= 1
    assert 0 < (quick != reference).mean() < 0.02  # another kernel, and hardly another picture


def test_bands_make_no_difference(monkeypatch):
    whole = resized(LARGE, (96, 64), WHOLE, "bicubic", "quick")
    monkeypatch.setattr(resizing, "UNPACKED_BAND", 1240 * 300)
    assert np.array_equal(resized(LARGE, (96, 64), WHOLE, "bicubic", "quick"), whole)


PILLOWS = {
    "reference": (LARGE, (96, 64), WHOLE, "reference"),
    "below a megapixel": (LARGE.crop((0, 0, 999, 1000)), (96, 64), (0, 0, 999, 1000), "quick"),
    "a part": (LARGE, (96, 64), (8.0, 0.0, 1232.0, 1000.0), "quick"),
    "wider than before": (LARGE, (1280, 64), WHOLE, "quick"),
    "higher than before": (LARGE, (64, 1024), WHOLE, "quick"),
}


@pytest.mark.parametrize("case", PILLOWS)
def test_elsewhere_it_is_pillows_to_the_bit(case):
    image, size, box, way = PILLOWS[case]
    assert np.array_equal(resized(image, size, box, "bicubic", way), pillows(image, size, box, "bicubic"))


def test_another_name_is_refused():
    with pytest.raises(SimvisError, match="Got resizing 'best'; wanted one of quick, reference: choose one of these"):
        check_resizing("best")


def test_a_view_is_made_in_the_networks_way_and_the_manifest_names_it():
    views = {way: network().with_resizing(way).view(LARGE).pixels for way in RESIZINGS}
    assert torch.equal(network().view(LARGE).pixels, views["quick"])
    assert not torch.equal(views["quick"], views["reference"])
    for way in RESIZINGS:
        pair = explain_pair(network().with_resizing(way), LARGE, photograph(60, 50))
        assert pair.manifest()["network"]["resizing"] == way


def test_a_fingerprint_is_the_networks_alone():
    assert network().with_resizing("reference").fingerprint == network().fingerprint
    assert "resizing" not in repr(Preprocess(resizing="reference"))  # as fingerprints were made before there were two


# Galleries


@pytest.fixture
def gallery(tmp_path):
    made = gallery_in(tmp_path)
    yield made
    made.index.close()


def test_a_gallerys_spaces_name_the_way(gallery):
    quick, reference = (gallery.space(network().with_resizing(way), 32, "whole") for way in RESIZINGS)
    assert quick.name != reference.name
    assert (quick.view, quick.seen) == ("32 whole quick", (32, "whole", "quick"))
    assert (reference.view, reference.seen) == ("32 whole", (32, "whole", "reference"))


def test_the_reference_has_the_space_it_had_before_there_were_two(gallery):
    """Its fingerprint, worked out by hand as it was made until 0.4.0."""
    under = network().with_resizing("reference")
    facts = (under.fingerprint, "avg", (32, "whole"), "float32")
    assert gallery.space(under, 32, "whole").fingerprint == hashlib.sha256(repr(facts).encode()).hexdigest()


def test_a_gallery_goes_on_in_the_way_it_was_indexed(gallery, tmp_path):
    folder = class_folders(tmp_path / "pictures", cat=2)
    old = network().with_resizing("reference")
    indexed(gallery, folder, [old])
    assert gallery.as_indexed(network(), 32, "whole").preprocess.resizing == "reference"
    last = indexed(gallery, class_folders(folder, cat=2, dog=1), [network()])
    assert (last.known, last.added) == (2, 1)
    assert len(rows_by_file(gallery, old)) == 3
    assert [space.view for space in gallery.spaces()] == ["32 whole"]


def test_a_new_gallery_takes_the_networks_way(gallery, tmp_path):
    folder = class_folders(tmp_path / "pictures", cat=1)
    for way in reversed(RESIZINGS):
        under = network().with_resizing(way)
        assert gallery.as_indexed(under, 40, "whole") is under
    indexed(gallery, folder, [network()])
    assert [space.view for space in gallery.spaces()] == ["32 whole quick"]
    assert gallery.as_indexed(network().with_resizing("reference"), 32, "whole").preprocess.resizing == "quick"


def test_rows_of_both_ways_are_what_each_view_embeds(tmp_path):
    (tmp_path / "pictures").mkdir()
    LARGE.save(tmp_path / "pictures" / "large.bmp")
    rows = {}
    for way in RESIZINGS:
        under = gallery_in(tmp_path / way)
        indexed(under, tmp_path / "pictures", [network().with_resizing(way)])
        [row] = rows_by_file(under, network().with_resizing(way)).values()
        expected = network().with_resizing(way)
        assert np.allclose(row.embedding, expected.embed(expected.view(LARGE, 32).pixels[None])[0], atol=1e-6)
        rows[way] = row.embedding
        under.index.close()
    assert not np.array_equal(rows["quick"], rows["reference"])
