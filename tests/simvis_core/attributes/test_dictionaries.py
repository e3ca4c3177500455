"""Dictionaries: learnt, measured on pictures that are held out, shown by places, and kept in a file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import Decomposition, SimvisError
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.coding import sparse_codes
from simvis_core.attributes.dictionaries.dictionary import Firing, LearntFrom, dictionary_of
from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary, own_directions, save_dictionary
from simvis_core.attributes.dictionaries.held_out import held_out, shares_of_score
from simvis_core.attributes.dictionaries.learning import LEARNERS, learn_dictionary
from simvis_core.attributes.dictionaries.places import firing, gathering, picture_places
from simvis_core.steps import run
from tests.simvis_core import cases
from tests.simvis_core.drawings import network

every_kind = pytest.mark.parametrize("kind", LEARNERS)


def refused(match):
    return pytest.raises(SimvisError, match=match)


def planted(count=200, seed=0):
    """Places that are sums of few of three directions without a negative number, which share no feature."""
    chance = np.random.default_rng(seed)
    truth = np.zeros((3, 7))
    truth[0, :2], truth[1, 2:5], truth[2, 5:] = (0.8, 0.6), (0.6, 0.0, 0.8), (0.6, 0.8)
    codes = chance.uniform(0, 1, (count, 3)) * (chance.uniform(0, 1, (count, 3)) < 0.4)
    return torch.from_numpy(codes @ truth), torch.from_numpy(truth)


def matched(made, truth):
    """Each true direction's largest cosine with a direction of the dictionary."""
    return (truth @ made.directions.T).max(1).values


# Learning


@every_kind
def test_a_dictionary_has_unit_directions_and_is_learnt_again_alike(kind):
    places, _ = planted()
    one, again = (learn_dictionary(places, kind, 3, seed=4) for _ in range(2))
    assert one.directions.shape == (3, 7)
    assert torch.allclose(one.directions.norm(dim=1), torch.ones(3).double())
    assert torch.equal(one.directions, again.directions)
    assert torch.allclose(one.mean, torch.zeros(7).double() if kind == "nmf" else places.mean(0))


def test_nmf_finds_what_was_planted():
    places, truth = planted()
    made = learn_dictionary(places, "nmf", 3)
    assert matched(made, truth).min() > 0.99
    assert (made.codes(places) >= 0).all()


def test_sparse_coding_finds_what_was_planted_and_says_it_in_few_concepts():
    places, truth = planted(600)
    truth = truth - truth.mean(1, keepdim=True)  # directions of either sign
    signed = (places @ torch.linalg.pinv(planted()[1])) @ truth * 2
    made = learn_dictionary(signed, "sparse", 3)
    assert matched(made, truth / truth.norm(dim=1, keepdim=True)).min() > 0.9
    codes = made.codes(signed)
    assert (codes >= 0).all()
    assert 0.2 < (codes > 0).double().mean() < 0.8  # of the three, each place has one or two


def lasso_by_one_code_at_a_time(vector, directions, penalty=0.1):
    """A slow reference: each code in turn takes its best value, 0 or more, until none moves."""
    codes, lengths = torch.zeros(len(directions)).double(), directions.square().sum(1)
    for _ in range(300):
        for k, direction in enumerate(directions):
            rest = vector - codes @ directions + codes[k] * direction
            codes[k] = ((rest @ direction - penalty) / lengths[k]).clamp(min=0)
    return codes


def test_sparse_codes_are_the_best_of_those_that_the_lasso_chooses():
    generator = torch.Generator().manual_seed(2)
    directions = torch.nn.functional.normalize(torch.randn(5, 7, dtype=torch.float64, generator=generator), dim=1)
    vectors = torch.randn(6, 7, dtype=torch.float64, generator=generator) * 0.4
    codes = sparse_codes(vectors, directions)
    assert 0 < int((codes > 0).sum()) < codes.numel()
    for vector, code in zip(vectors, codes, strict=True):
        chosen = lasso_by_one_code_at_a_time(vector, directions) > 1e-9
        assert (code[~chosen] == 0).all()
        gradient = directions @ (vector - code @ directions)
        assert (gradient[code > 0].abs() < 1e-9).all()
        assert (gradient[chosen & (code == 0)] <= 1e-9).all()
    assert sparse_codes(vectors[:0], directions).shape == (0, 5)


def test_semi_nmf_leaves_less_than_its_clusters_and_takes_signed_places():
    places, _ = planted()
    places = places - 0.3
    made = learn_dictionary(places, "semi-nmf", 3)
    left = places - made.mean - made.codes(places) @ made.directions
    spread = (places - places.mean(0)).square().sum()
    assert float(left.square().sum() / spread) < 0.35
    assert (made.codes(places) >= 0).all()


def test_principal_components_leave_what_svd_leaves_and_lean_to_their_strong_side():
    places, _ = planted()
    made = learn_dictionary(places, "pca", 2)
    rest = places - places.mean(0)
    left = rest - made.codes(places) @ made.directions
    assert float(left.square().sum()) == pytest.approx(float(torch.linalg.svdvals(rest)[2:].square().sum()))
    for seen in (places, -places):
        assert (learn_dictionary(seen, "pca", 3).codes(seen).pow(3).sum(0) > 0).all()


def test_chance_directions_are_orthonormal_and_differ_by_seed():
    places, _ = planted()
    one, other = (learn_dictionary(places, "random", 3, seed) for seed in (0, 1))
    assert torch.allclose(one.directions @ one.directions.T, torch.eye(3).double(), atol=1e-12)
    assert not torch.allclose(one.directions, other.directions)


def test_nmf_of_signed_places_is_refused_with_what_takes_them():
    with refused("places with negative numbers; wanted 0 or more, which nmf needs: choose the kind semi-nmf, or pca"):
        learn_dictionary(planted()[0] - 0.1, "nmf", 3)


def test_what_cannot_be_learnt_is_refused():
    places, _ = planted(5)
    with refused("the kind 'ica'; wanted one of sparse, pca, nmf, semi-nmf, random"):
        learn_dictionary(places, "ica")
    for size in (0, 6):
        with refused(f"{size} concepts of 5 places of 7 numbers; wanted 1 to 5"):
            learn_dictionary(places, "pca", size)
    with refused("places with NaN or infinity"):
        learn_dictionary(torch.full((3, 2), float("nan")), "pca", 1)


# Places


@pytest.mark.parametrize("coding", ["least squares", "non-negative"])
def test_places_average_to_the_embedding_and_their_codes_to_its_codes(coding):
    pair = cases.make_pair("max", "fc")
    places, width = picture_places(pair.a), len(pair.a.embedding)
    assert torch.allclose(places.mean(0), pair.a.embedding)
    rows = torch.randn(2, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = dictionary_of(rows, coding=coding)
    if coding == "least squares":
        assert torch.allclose(made.codes(places).mean(0), made.codes(pair.a.embedding[None])[0])
    else:
        assert torch.allclose(made.codes(places * 2), made.codes(places) * 2, atol=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures of two classes that differ in one corner, and a file that is none."""
    home, chance = tmp_path_factory.mktemp("places"), np.random.default_rng(3)
    files = {}
    for name, label in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        values = chance.integers(0, 255, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(values).save(home / f"{name}.png")
        files[str(home / f"{name}.png")] = label
    (home / "broken.png").write_bytes(b"?")
    return files | {str(home / "broken.png"): "b"}


def test_places_are_gathered_from_what_is_not_held_out(folder):
    net, told = network(), []
    first, second, third, broken = folder
    found = run(gathering(net, folder, {third}, short_side=16), told.append)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (found.files, found.labels, found.learnt) == ((first, second, third), ("a", "a", "b"), (True, True, False))
    assert list(found.left_out) == [broken]
    assert found.embeddings.shape == (3, 5)
    grid = net.decompose(net.view(Image.open(first), 16).pixels).grid
    assert len(found.places) == 2 * grid[0] * grid[1]
    readable = {file: label for file, label in folder.items() if file != broken}
    few, again = (run(gathering(net, readable, {third}, short_side=16, most=3)) for _ in range(2))
    assert len(few.places) == 3  # of two each
    assert torch.equal(few.places, again.places)
    one = run(gathering(net, folder, short_side=16, most=1, seed=1))
    assert (len(one.places), sum(one.learnt)) == (1, 1)


def test_the_strongest_place_of_each_picture_is_found(folder):
    net = network()
    first, second, third, _ = folder
    seen = [net.decompose(net.view(Image.open(file), 16).pixels) for file in (first, second, third)]
    made = dictionary_of(torch.randn(8, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    found = run(firing(made, net, [*folder], short_side=16, most=2)).firings
    assert any(one.cell > (0, 1) for places in found for one in places)
    for concept in range(8):
        wanted = []
        for file, picture in zip((first, second, third), seen, strict=True):
            codes = made.codes(picture_places(picture))[:, concept].reshape(picture.grid)
            row, column = divmod(int(codes.argmax()), picture.grid[1])
            wanted.append((file, (row, column), float(codes.max())))
        wanted = sorted((one for one in wanted if one[2] > 0), key=lambda one: -one[2])[:2]
        assert [(one.picture, one.cell) for one in found[concept]] == [one[:2] for one in wanted]
        assert {one.grid for one in found[concept]} <= {picture.grid for picture in seen}
        assert [one.value for one in found[concept]] == pytest.approx([one[2] for one in wanted])


def test_a_network_that_cannot_be_split_gives_no_places(folder):
    net = network(head=cases.BLACK_BOXES["softmax"](6))
    for work in (gathering(net, folder), firing(dictionary_of(torch.eye(5)), net, [*folder])):
        with refused("which cannot be split over cells"):
            run(work)


def test_no_picture_to_learn_from_is_refused(folder):
    with refused("no picture to learn from"):
        run(gathering(network(), {file: label for file, label in folder.items() if "broken" in file}))


# Held out


def labelled(**counts):
    return {f"{label}{number}.jpg": label for label, count in counts.items() for number in range(count)}


def test_half_of_a_class_is_held_out_and_some_of_it_stays():
    pictures = labelled(owl=6, jay=3, bat=2, elk=1) | {"none.jpg": ""}
    out = held_out(pictures)
    assert sorted(pictures[file] for file in out) == ["jay"] * 2 + ["owl"] * 3
    assert out == held_out(dict(reversed(pictures.items())))
    assert any(held_out(pictures, seed=seed) != out for seed in range(5))


def test_whole_classes_are_held_out():
    pictures = labelled(owl=3, jay=2, bat=2, elk=2, ape=4, cow=1)
    out = held_out(pictures, "classes")
    classes = {pictures[file] for file in out}
    assert len(classes) == 2
    assert out == {file for file, label in pictures.items() if label in classes}
    assert "cow" not in classes


def test_nothing_is_held_out_of_single_pictures():
    assert held_out(labelled(owl=1, jay=1)) == held_out(labelled(owl=1), "classes") == frozenset()
    with refused("'rows' held out; wanted one of pictures, classes"):
        held_out({}, "rows")


def test_shares_are_those_of_the_pairs_averaged_by_class():
    torch.manual_seed(1)
    embeddings = torch.nn.functional.normalize(torch.rand(5, 4).double(), dim=1)
    made = dictionary_of(torch.rand(2, 4).double(), torch.rand(4).double() / 9)
    found = shares_of_score(made, embeddings, ["a", "a", "a", "b", "b"])
    assert (found.pairs, found.classes) == (4, 2)
    by_class = []
    for pairs in (((0, 1), (0, 2), (1, 2)), ((3, 4),)):
        totals = []
        for i, j in pairs:
            one, other = (Decomposition(embeddings[at][None, None], torch.zeros(4).double()) for at in (i, j))
            pair = ConceptPair(one, other, made)
            totals.append(pair.mean_totals.residual / pair.mean_totals.score)
        by_class.append(sum(totals) / len(totals))
    assert found.residual.mean == pytest.approx(sum(by_class) / 2)
    assert found.residual.mean + found.mean.mean + found.concepts.mean == pytest.approx(1)
    assert found.residual.low <= found.residual.mean <= found.residual.high


def test_unlabelled_pictures_are_no_class_and_small_scores_have_no_shares():
    with refused("no pair of one class with a score to share"):
        shares_of_score(dictionary_of(torch.eye(2)), torch.tensor([[0.6, 0.8], [0.8, 0.6]]), ["", ""])
    with refused("no pair of one class with a score to share"):
        shares_of_score(dictionary_of(torch.eye(2)), torch.eye(2), ["a", "a"])


# Files


def example():
    source = LearntFrom("pca", "tiny", "0f", "gem:4", 224, "whole", 9, 63, 2)
    made = dictionary_of(torch.rand(2, 3), torch.rand(3), "non-negative", ("dome", ""), source)
    return replace(made, firings=((Firing("a.jpg", (1, 2), (3, 4), 0.5),), ()))


def test_a_dictionary_is_read_as_it_was_written(tmp_path):
    made = example()
    found = open_dictionary(save_dictionary(tmp_path / "new" / "made.safetensors", made))
    assert torch.equal(found.mean, made.mean)
    assert torch.allclose(found.directions, made.directions, atol=1e-15)
    for name in ("coding", "names", "source", "firings"):
        assert getattr(found, name) == getattr(made, name)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["made.safetensors"]


def test_a_dictionary_without_a_source_is_written_too(tmp_path):
    assert open_dictionary(save_dictionary(tmp_path / "made", dictionary_of(torch.eye(2)))).source is None


def test_a_damaged_file_is_refused(tmp_path):
    whole = save_dictionary(tmp_path / "made", example()).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with refused("'cut', which is damaged"):
        open_dictionary(tmp_path / "cut")
    with refused("'nowhere', which is missing"):
        open_dictionary(tmp_path / "nowhere")
    for name, old, new in (("names", b'\\"dome\\"', b'1,  \\"a\\"'), ("source", b'\\"seed\\"', b'\\"need\\"')):
        assert whole.count(old) == 1
        (tmp_path / name).write_bytes(whole.replace(old, new))
        with refused(f"'{name}', which is damaged"):
            open_dictionary(tmp_path / name)


def test_another_safetensors_file_is_no_dictionary(tmp_path):
    from safetensors.torch import save_file

    save_file({"directions": torch.eye(2)}, tmp_path / "weights.safetensors")
    with refused("'weights.safetensors', which is no dictionary"):
        open_dictionary(tmp_path / "weights.safetensors")


def test_a_matrix_of_ones_own_is_read_and_anything_else_refused(tmp_path):
    np.save(tmp_path / "own.npy", np.arange(6, dtype=np.int32).reshape(2, 3))
    assert own_directions(tmp_path / "own.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    np.save(tmp_path / "line.npy", np.zeros(3))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    np.savez(tmp_path / "many.npz", one=np.zeros((2, 2)))
    (tmp_path / "torn.npy").write_bytes((tmp_path / "own.npy").read_bytes()[:20])
    for name, why in (("line", "holds something else"), ("words", "holds something else"), ("torn", "cannot be read")):
        with refused(f"'{name}.npy', which {why}"):
            own_directions(tmp_path / f"{name}.npy")
    with refused("'many.npz', which holds something else"):
        own_directions(tmp_path / "many.npz")
    with refused("'gone.npy', which is missing"):
        own_directions(tmp_path / "gone.npy")
