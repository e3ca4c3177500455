"""The session: who pays for a forward pass and who does not (law 18: cached = fresh, and what the key holds)."""

import copy
import dataclasses
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from PIL import Image

import model_zoo
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.pair.asked import PairAsked
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session, content_hash
from simvis_core import SimvisError, explain_pair, open_picture
from simvis_core.explainers.masks import sliding_windows


def test_an_explanation_is_what_the_core_computes(session, files, small, tiny_network):
    pair = session.explain(*files, small())
    fresh = explain_pair(tiny_network, *(open_picture(file) for file in files), short_side=16)
    assert abs(pair.score - fresh.score) < 1e-6
    assert torch.allclose(pair.map_a, fresh.map_a, atol=1e-6)
    assert torch.allclose(pair.map_b, fresh.map_b, atol=1e-6)


def test_the_second_visitor_with_the_same_pictures_pays_nothing(session, files, small, backbone_calls):
    first = session.explain(*files, small())
    assert session.forward_passes == len(backbone_calls) == 2
    second = session.explain(*files, small())
    assert session.forward_passes == len(backbone_calls) == 2
    assert first.score == second.score
    assert torch.equal(first.joint_map, second.joint_map)
    turned = session.explain(*files[::-1], small())
    assert session.forward_passes == 2
    assert abs(turned.score - first.score) < 1e-6


def test_pooling_and_exponent_run_no_backbone(session, files, small, backbone_calls):
    scores = {pooling: session.explain(*files, small(pooling=pooling)).score for pooling in POOLINGS}
    assert session.forward_passes == len(backbone_calls) == 2
    assert len(set(scores.values())) == len(POOLINGS)


POOLINGS = ("avg", "max", "gem", "gem:7.5", "avgmax")


def test_switching_the_pooling_on_the_page_runs_no_backbone(session, files, backbone_calls, tmp_path):
    """The whole handler, panels and verdict included."""
    compare = Handlers(session, LinkedPictures(tmp_path / "links")).compare
    asked = PairAsked(*map(str, files), "tiny", "avg", 3.0, 16)
    compare(CompareAsked(asked, k=3))
    before = len(backbone_calls)
    for pooling, exponent in (("max", 3.0), ("gem", 3.0), ("gem", 9.0), ("avg", 3.0)):
        compare(CompareAsked(replace(asked, pooling=pooling, exponent=exponent), k=3))
    assert session.forward_passes == 2
    assert len(backbone_calls) == before


def test_another_view_is_another_pass(session, files, small):
    for number, changes in enumerate(({}, {"short_side": 24}, {"framing": "square"}, {"framing": "crop"}), start=1):
        session.explain(*files, small(**changes))
        assert session.forward_passes == 2 * number


def test_the_key_is_the_content_not_the_name(session, files, small, tmp_path):
    session.explain(*files, small())
    (tmp_path / "other name.jpg").write_bytes(files[0].read_bytes())
    session.explain(tmp_path / "other name.jpg", files[1], small())
    assert session.forward_passes == 2
    Image.new("RGB", (30, 20), "teal").save(files[0])
    edited = session.explain(*files, small())
    assert session.forward_passes == 3
    assert edited.view_a.image.size == (30, 20)


def test_a_picture_compared_with_itself_is_run_once(session, files, small):
    pair = session.explain(files[0], files[0], small())
    assert session.forward_passes == 1
    assert abs(pair.score - 1) < 1e-6


def test_the_key_holds_weights_and_preprocessing(monkeypatch, tiny_network, files, small):
    other_weights, other_colours = copy.copy(tiny_network), copy.copy(tiny_network)
    other_weights.backbone = copy.deepcopy(tiny_network.backbone)
    next(other_weights.backbone.parameters()).data += 0.1
    other_colours.preprocess = dataclasses.replace(tiny_network.preprocess, mean=(0.1, 0.1, 0.1))
    networks = {"one": tiny_network, "same": copy.copy(tiny_network), "w": other_weights, "c": other_colours}
    monkeypatch.setattr(model_zoo, "load", networks.__getitem__)
    session = Session()
    passes = []
    for name in networks:
        session.explain(*files, small(backbone=name))
        passes.append(session.forward_passes)
    assert passes == [2, 2, 4, 6]


def test_visitors_at_the_same_moment_share_the_passes(session, files, small):
    with ThreadPoolExecutor(6) as threads:
        scores = list(threads.map(lambda _: session.explain(*files, small()).score, range(6)))
    assert session.forward_passes == 2
    assert len(set(scores)) == 1


def test_the_cache_stays_within_its_limit_and_what_fell_out_is_run_again(monkeypatch, tiny_network, small, tmp_path):
    monkeypatch.setattr(model_zoo, "load", lambda name: tiny_network)
    one = 20 * 20 * 4 + 3 * 16 * 16 * 4 + 6 * 2 * 2 * 4  # picture, view, features
    session = Session(features_limit=3 * one)
    pictures = []
    for number in range(4):
        pictures.append(tmp_path / f"{number}.png")
        Image.effect_noise((20, 20), 20 + 20 * number).save(pictures[-1])
    for first, second in itertools.pairwise(pictures):
        session.explain(first, second, small())
        assert 0 < session.cached_bytes <= 3 * one
    assert session.forward_passes == 4
    session.explain(pictures[2], pictures[3], small())
    assert session.forward_passes == 4
    session.explain(pictures[0], pictures[3], small())
    assert session.forward_passes == 5


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b"text"), "not a picture as picture B"),
        (lambda path: path.write_bytes(b""), "zero bytes"),
        (lambda path: path.unlink(), "cannot be opened"),
    ],
    ids=["text", "empty", "missing"],
)
def test_a_bad_picture_is_a_sentence_and_spoils_nothing(session, files, small, spoil, reason):
    before = session.explain(*files, small())
    good = files[1].read_bytes()
    spoil(files[1])
    with pytest.raises(SimvisError, match=reason):
        session.explain(*files, small())
    files[1].write_bytes(good)
    assert session.explain(*files, small()).score == before.score
    assert session.forward_passes == 2


def test_unknown_settings_are_sentences(session, files, small):
    for changes, reason in (({"pooling": "nope"}, "nope"), ({"short_side": 17}, "17"), ({"pooling": "gem:0"}, "0")):
        with pytest.raises(SimvisError, match=reason):
            session.explain(*files, small(**changes))


def test_content_hash_is_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert content_hash(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# Black boxes


@pytest.fixture
def black_box(session, tiny_network, monkeypatch):
    """The session with a head that cannot be split."""
    monkeypatch.setattr(tiny_network, "head", torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Softmax(-1)))
    return session


def test_a_black_box_has_its_score_at_once_and_its_map_when_drawn(black_box, files, small, backbone_calls):
    before = black_box.explain(*files, small())
    assert (before.method, before.verdict) == ("none", "black box")
    assert before.map_a.abs().max() == 0
    assert len(backbone_calls) == 2
    steps = list(black_box.drawing(*files, small()))
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1] > 0
    after = black_box.explain(*files, small())
    assert after.method == "sliding window"
    assert after.score == pytest.approx(before.score, abs=1e-6)
    assert after.map_a.abs().max() > 0


def test_a_drawing_is_paid_for_once_and_picture_by_picture(black_box, files, small, backbone_calls, tmp_path):
    black_box.explain_fully(*files, small())
    ran = len(backbone_calls)
    assert black_box.explain_fully(*files[::-1], small()).method == "sliding window"
    assert len(backbone_calls) == ran
    other = tmp_path / "other.png"
    Image.open(files[0]).rotate(90).save(other)
    told = []
    black_box.explain_fully(files[0], other, small(), lambda done, count: told.append(count))
    assert told[-1] == sliding_windows((24, 16), (3, 2))[0]  # of the new picture alone
    assert len(backbone_calls) > ran


def test_another_method_pooling_or_view_is_another_drawing(black_box, files, small):
    black_box.explain_fully(*files, small())
    assert black_box.explain(*files, small(method="RISE")).method == "none"
    assert black_box.explain(*files, small(pooling="max")).method == "none"
    assert black_box.explain(*files, small(framing="square")).method == "none"
    assert black_box.explain(*files, small(method="last-block values")).method == "sliding window"


def test_a_drawing_left_halfway_keeps_nothing_and_blocks_nobody(black_box, files, small):
    drawing = black_box.drawing(*files, small())
    next(drawing)
    next(drawing)
    drawing.close()
    assert black_box.explain(*files, small()).method == "none"
    assert black_box.explain_fully(*files, small()).method == "sliding window"


def test_a_method_is_ignored_where_the_network_can_be_split(session, files, small, backbone_calls):
    pair = session.explain_fully(*files, small(method="RISE"))
    assert pair.method == "decomposition"
    assert len(backbone_calls) == 2


def test_what_a_visitor_asked_for_last_is_remembered(session, monkeypatch):
    assert session.asked("anne") is None
    session.ask("anne", ("a",))
    session.ask("bert", ("b",))
    assert session.asked("anne") == ("a",)
    session.ask("anne", None)
    assert session.asked("anne") is None
    monkeypatch.setattr("simvis_app.service.sessions.session.VISITORS", 2)
    for name in ("carl", "dora"):
        session.ask(name, ("c",))
    assert session.asked("bert") is None


def test_who_insists_gets_masks_for_any_network(session, files, small):
    pair = session.explain_fully(*files, small(method="sliding window", insist=True))
    assert (pair.method, pair.verdict, pair.additive) == ("sliding window", "exact", False)


# One picture


def test_a_picture_is_its_side_of_a_pair_and_paid_for_once(session, files, small, backbone_calls):
    picture = session.picture(files[0], small())
    assert len(backbone_calls) == 1
    pair = session.explain(*files, small())
    assert len(backbone_calls) == 2
    assert torch.equal(picture.decomposition.embedding, pair.a.embedding)
    assert torch.equal(picture.decomposition.cells, pair.a.cells)
    assert (picture.sha256, picture.view.size) == (content_hash(files[0]), pair.view_a.size)
    assert session.picture(files[0], small(pooling="gem:4")).network.pooling.exponent == 4
    assert len(backbone_calls) == 2


def test_a_picture_is_split_once_for_each_pooling(session, files, small):
    first = session.picture(files[0], small())
    assert session.picture(files[0], small()).decomposition is first.decomposition
    held = session.cached_bytes
    other = session.picture(files[0], small(pooling="gem:4")).decomposition
    assert not torch.equal(other.embedding, first.decomposition.embedding)
    assert session.cached_bytes - held == other.cells.nbytes + 2 * other.bias.nbytes


def test_a_black_box_has_its_picture_without_cells(black_box, files, small):
    picture = black_box.picture(files[0], small()).decomposition
    assert (picture.method, picture.verdict) == ("none", "black box")
    assert picture.cells.abs().max() == 0
    assert torch.allclose(picture.bias, picture.embedding)
    assert float(picture.embedding.norm()) == pytest.approx(1, abs=1e-6)


def test_a_bad_picture_is_named_as_asked(session, files, small):
    files[0].write_bytes(b"text")
    with pytest.raises(SimvisError, match="not a picture as picture of the hit"):
        session.picture(files[0], small(), "of the hit")


def test_steps_in_turn_leave_the_turn_to_others_between_them(session, files, small):
    def steps():
        for number in range(3):
            assert session._turn.locked()
            yield number
        return "end"

    turns = session.in_turn(steps())
    for number in range(3):
        assert next(turns) == number
        assert not session._turn.locked()
        session.explain(*files, small())
    with pytest.raises(StopIteration) as end:
        next(turns)
    assert end.value.value == "end"
    assert not session._turn.locked()


def test_every_pass_runs_in_one_thread_whoever_asks(session, files, small, tiny_backbone):
    ran = set()
    hook = tiny_backbone.register_forward_hook(lambda *_: ran.add(threading.current_thread().name))
    asked = [small(framing=framing, method="sliding window", insist=True) for framing in ("whole", "square", "crop")]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda settings: session.explain_fully(*files, settings), asked))
    hook.remove()
    assert len(ran) == 1
    assert "passes" in ran.pop()


def test_what_is_known_needs_no_pass_and_what_is_not_is_none(session, files, small, backbone_calls):
    masked = small(method="sliding window", insist=True)
    assert session.known(*files, small()) is None
    pair = session.explain(*files, small())
    calls = len(backbone_calls)
    assert session.known(*files, small()).score == pair.score
    assert session.known(*files, small(pooling="max")).score == session.explain(*files, small(pooling="max")).score
    assert session.known(*files, masked) is None
    assert session.known(*files, small(framing="square")) is None
    assert len(backbone_calls) == calls
    drawn = session.explain_fully(*files, masked)
    assert torch.equal(session.known(*files, masked).map_a, drawn.map_a)


def test_a_step_that_fails_gives_the_turn_back(session):
    def steps():
        yield 1
        raise SimvisError("x", "y", "z")

    turns = session.in_turn(steps())
    next(turns)
    with pytest.raises(SimvisError):
        next(turns)
    assert not session._turn.locked()
