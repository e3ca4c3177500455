"""The series on disk: what is written comes back, and nothing half-written or changed is ever read."""

import itertools
import json
import os
import resource
import signal
from contextlib import contextmanager

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.progress import series_files
from simvis_core.progress.manifests import SeriesBase
from simvis_core.progress.series import base_digest, open_files
from simvis_core.progress.series_files import SeriesFiles
from tests.damage import DAMAGE, JSON_DAMAGE


def base_state():
    torch.manual_seed(1)
    return {
        "backbone.conv.weight": torch.randn(3, 2, 2, 2),
        "backbone.bn.running_var": torch.rand(3) * 1e-6,
        "backbone.bn.num_batches_tracked": torch.tensor(7),
        "head.weight": torch.randn(4, 3),
    }


def begun(folder, base=None, **options):
    named = None if base is None else SeriesBase("mobilenet_v2", base_digest(base))
    return SeriesFiles(folder, "run", "mobilenet_v2", "max", base=named, short_side=128, about={"seed": 3}, **options)


@pytest.fixture
def written(tmp_path):
    """Two steps behind the base, the second with a gallery."""
    base, folder = base_state(), tmp_path / "run"
    files = begun(folder, base)
    files.add(0, base, base, figures={"map_at_r": 0.25})
    files.add(10, base | {"head.weight": torch.ones(4, 3)}, base, loss=0.5)
    files.add(20, base | {"head.weight": torch.zeros(4, 3)}, base, embeddings=(("a.jpg", "b/ß.jpg"), torch.eye(2, 5)))
    return folder


def test_what_is_written_comes_back(written):
    series = open_files(written)
    assert (series.name, series.architecture, series.pooling, series.short_side) == ("run", "mobilenet_v2", "max", 128)
    assert series.about == {"seed": 3}
    assert [one.step for one in series.steps] == [0, 10, 20]
    assert [one.file is None for one in series.steps] == [True, False, False]
    assert (series.at(0).figures, series.at(10).loss, series.at(0).loss) == ({"map_at_r": 0.25}, 0.5, None)
    assert list(series.state(10)) == ["head.weight"]
    assert series.embeddings(10) is None
    pictures, rows = series.embeddings(20)
    assert pictures == ("a.jpg", "b/ß.jpg")
    assert torch.equal(rows, torch.eye(2, 5))
    assert rows.dtype == torch.float32


@given(st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_state_comes_back_whole(tmp_path_factory, data):
    """Changed, added and dropped tensors, of any kind and size, against any base or none."""
    folder, base = tmp_path_factory.mktemp("any"), base_state()
    state = dict(base)
    for name in data.draw(st.sets(st.sampled_from(sorted(base)))):
        state[name] = base[name] + 1
    for name in data.draw(st.sets(st.sampled_from(sorted(base)))):
        del state[name]
    state |= {"head.new": torch.randn(data.draw(st.integers(0, 3)), 2, dtype=torch.float64)}
    whole = data.draw(st.booleans())
    series = begun(folder, base if whole else None).add(5, state, base if whole else None)
    back = series.whole_state(5, base if whole else None)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) and back[name].dtype == state[name].dtype for name in state)


def test_half_precision_is_given_back_as_float32_and_only_where_it_fits(tmp_path):
    base = base_state()
    state = {name: one + 1 for name, one in base.items()}
    state["head.weight"] = torch.full((4, 3), 1e6)  # beyond half precision
    back = begun(tmp_path, half=True).add(1, state).state(1)
    assert back["backbone.conv.weight"].dtype == torch.float32
    assert torch.allclose(back["backbone.conv.weight"], state["backbone.conv.weight"], rtol=2**-11, atol=1e-7)
    assert not torch.equal(back["backbone.conv.weight"], state["backbone.conv.weight"])
    for exact in ("backbone.bn.running_var", "backbone.bn.num_batches_tracked", "head.weight"):
        assert torch.equal(back[exact], state[exact])
    assert back["backbone.bn.num_batches_tracked"].dtype == torch.int64


def test_views_and_shared_tensors_are_written_by_themselves(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    back = begun(tmp_path).add(1, {"a": whole.T, "b": whole, "c": whole[1:].requires_grad_()}).state(1)
    assert torch.equal(back["a"], whole.T)
    assert torch.equal(back["c"], whole[1:])


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "written over"])
@pytest.mark.parametrize("kind", ["step-000010", "gallery-000020"])
def test_a_torn_file_is_refused_when_the_series_is_opened(written, kind, damage):
    DAMAGE[damage](next(written.glob(f"{kind}-*")))
    with pytest.raises(SimvisError, match=f"{kind}.* of 'run', which (cannot be read|is torn).*or train again"):
        open_files(written)


@pytest.mark.parametrize("kind", ["step-000010", "gallery-000020"])
def test_a_changed_file_of_equal_size_is_refused_when_it_is_read(written, kind):
    path = next(written.glob(f"{kind}-*"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    series = open_files(written)
    with pytest.raises(SimvisError, match="torn or changed: its sha256 is another"):
        series.state(10) if kind.startswith("step") else series.embeddings(20)
    series.state(20 if kind.startswith("step") else 10)


@pytest.mark.parametrize("damage", [name for name in JSON_DAMAGE if name not in ("another's", "gone", "unreadable")])
def test_a_damaged_manifest_is_refused(written, damage):
    JSON_DAMAGE[damage](written / "series.json")
    with pytest.raises(
        SimvisError, match=r"'series.json' of 'run', which (is damaged|cannot be read)|a series of format 5"
    ):
        open_files(written)


def changed(folder, change):
    manifest = json.loads((folder / "series.json").read_text())
    change(manifest)
    (folder / "series.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda read: read.update(format=2), "a series of format 2; wanted format 1: update SimVis"),
        (lambda read: read["steps"].reverse(), "steps out of order"),
        (lambda read: read["steps"][1].update(step=20), "steps out of order"),
        (lambda read: read["steps"][1].update(step=True), "no int for 'step'"),
        (lambda read: read["steps"][1].update(loss="low"), "no number for 'loss'"),
        (lambda read: read["steps"][1]["figures"].update(a=None), "no number for 'a'"),
        (lambda read: read["steps"][1]["weights"].update(name="../series.json"), "the file name"),
        (lambda read: read.update(base=None), "a step without weights, and no base"),
        (lambda read: read.pop("format"), "no int for 'format'"),
        (lambda read: read.pop("about"), "no dict for 'about'"),
    ],
)
def test_a_manifest_that_no_series_writes_is_refused(written, change, said):
    changed(written, change)
    with pytest.raises(SimvisError, match=said):
        open_files(written)


def test_a_folder_without_a_series_is_refused(tmp_path):
    with pytest.raises(SimvisError, match=r"which holds no series\.json"):
        open_files(tmp_path / "nothing")


def test_a_step_that_is_not_there_is_named_with_those_that_are(written):
    with pytest.raises(SimvisError, match="step 15 of 'run'; wanted one of 0, 10, 20"):
        open_files(written).state(15)


def test_another_base_is_refused(written, tmp_path):
    other = base_state() | {"head.weight": torch.ones(4, 3)}
    with pytest.raises(SimvisError, match="other weights of mobilenet_v2 than 'run' began with"):
        open_files(written).whole_state(10, other)
    with pytest.raises(SimvisError, match="a base state that is not mobilenet_v2's"):
        begun(tmp_path / "new", base_state()).add(1, other, other)
    with pytest.raises(SimvisError, match="a base state for a series without a base"):
        begun(tmp_path / "new").add(1, other, other)


def test_what_is_no_number_is_refused_and_leaves_the_series(written):
    base = base_state()
    files = begun(written, base, resumed=True)
    with pytest.raises(SimvisError, match="loss nan at step 30; wanted a finite number"):
        files.add(30, base, base, loss=float("nan"))
    with pytest.raises(SimvisError, match="recall inf at step 30"):
        files.add(30, base, base, figures={"recall": float("inf")})
    assert [one.step for one in open_files(written).steps] == [0, 10, 20]


def test_another_run_is_refused_and_its_own_goes_on(written):
    base = base_state()
    with pytest.raises(SimvisError, match="'run', which holds the run 'run'; wanted a folder without one"):
        begun(written, base)
    with pytest.raises(SimvisError, match=r"a run of another pooling and about \(seed\)"):
        SeriesFiles(
            written,
            *("run", "mobilenet_v2", "avg"),
            base=SeriesBase("mobilenet_v2", base_digest(base)),
            short_side=128,
            resumed=True,
        )
    files = begun(written, base, resumed=True)
    files.add(10, base | {"head.weight": torch.full((4, 3), 2.0)}, base)
    series = open_files(written)
    assert [one.step for one in series.steps] == [0, 10, 20]
    assert torch.equal(series.state(10)["head.weight"], torch.full((4, 3), 2.0))
    assert len(list(written.iterdir())) == 4  # the manifest, two steps, a gallery: nothing of the replaced one


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child only writes, and dies
@pytest.mark.parametrize("moment", [1, 2])
def test_a_kill_before_the_manifest_leaves_the_former_series(written, moment):
    """Before the weights are written, and between them and the manifest; the next writer clears what was left."""
    before, base = open_files(written).state(10), base_state()
    child = os.fork()
    if child == 0:
        whole, calls = series_files.write_folder, itertools.count(1)

        def killed(folder, files):
            if next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(folder, files)

        series_files.write_folder = killed
        begun(written, base, resumed=True).add(10, base | {"head.weight": torch.full((4, 3), 7.0)}, base)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert torch.equal(open_files(written).state(10)["head.weight"], before["head.weight"])
    assert len(list(written.iterdir())) == 3 + moment
    begun(written, base, resumed=True)
    assert len(list(written.iterdir())) == 4


@contextmanager
def full_disk(size):
    """No file grows beyond so many bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("size", [10, 400])
def test_a_full_disk_is_told_and_leaves_the_former_series(written, size):
    """Too full for the weights, and for the manifest only."""
    base = base_state()
    files = begun(written, base, resumed=True)
    with full_disk(size), pytest.raises(SimvisError, match=r"cannot be written.*free some room"):
        files.add(30, base | {"head.weight": torch.ones(4, 3)}, base)
    assert [one.step for one in open_files(written).steps] == [0, 10, 20]
    assert not list(written.glob(".*"))
    assert [one.step for one in files.add(30, base, base).steps] == [0, 10, 20, 30]
    assert len(list(written.iterdir())) == 4
