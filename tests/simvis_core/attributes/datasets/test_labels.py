"""What pictures show: what two share and of which that is known, and a table that is read or refused by its line."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.attributes.datasets.labels import AttributeLabels, read_labels

NAN = float("nan")
VALUE = st.sampled_from([1.0, 0.0, NAN])


@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=6))
def test_what_two_share_is_known_whatever_the_untold_values_are(columns):
    """Known is what stays the same for every way to fill in what nobody can tell."""
    names = tuple(map(str, range(len(columns))))
    labels = AttributeLabels(("a", "b"), ("", ""), names, torch.tensor(columns).T)
    both, known = labels.shared(0, 1)
    for place, told in enumerate(columns):
        ways = [[value] if value == value else [0.0, 1.0] for value in told]
        possible = {one == other == 1 for one in ways[0] for other in ways[1]}
        assert bool(known[place]) == (len(possible) == 1)
        assert bool(both[place]) == (possible == {True})
    assert bool(labels.may_share[0, 1]) == bool((both | ~known).any())


def written(folder, *lines, columns="file,label,fur,dome"):
    for name in ("a.jpg", "b.jpg"):
        (folder / name).touch()
    (folder / "shown.csv").write_text("\n".join((columns, *lines)) + "\n")
    return folder / "shown.csv"


def test_a_table_is_read_with_what_cannot_be_told(tmp_path):
    labels = read_labels(written(tmp_path, "a.jpg,cat,1,0", "b.jpg,,,1"))
    assert labels.pictures == (str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"))
    assert (labels.classes, labels.names) == (("cat", ""), ("fur", "dome"))
    assert torch.equal(labels.values.nan_to_num(9), torch.tensor([[1.0, 0], [9, 1]], dtype=torch.float64))
    assert labels.rows([1]).columns(["dome"]).values.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a.jpg,cat,1,yes"], "line 2: 'yes' for 'dome'; wanted .*: write 1, 0, or nothing"),
        (["a.jpg,cat,1"], "line 2: another number of values than columns"),
        (["a.jpg,cat,1,0,1"], "line 2: another number of values than columns"),
        (["a.jpg,cat,1,", "b.jpg,cat,1,0", "a.jpg,cat,1,"], "line 4: 'a.jpg' of line 2 once more, the same again"),
        (["a.jpg,cat,1,0", "a.jpg,cat,0,0"], "line 3: 'a.jpg' of line 2 once more, contradicting it"),
        (["c.jpg,cat,1,0"], "line 2: 'c.jpg', which is not there; .* restore the picture"),
        ([], "'shown.csv' without rows"),
    ],
)
def test_a_wrong_row_is_named_with_a_cure(tmp_path, lines, said):
    with pytest.raises(SimvisError, match=said):
        read_labels(written(tmp_path, *lines))


@pytest.mark.parametrize("columns", ["picture,label,fur", "file,label,fur,fur", ""])
def test_wrong_columns_are_named(tmp_path, columns):
    with pytest.raises(SimvisError, match=r"with the columns .* correct its first line"):
        read_labels(written(tmp_path, "a.jpg,cat,1,0", columns=columns))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(SimvisError, match="cannot be read as CSV"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SimvisError, match="cannot be read as CSV"):
        read_labels(tmp_path / "bytes.csv")


def test_values_of_another_shape_or_names_that_come_twice_are_refused():
    for pictures, names, said in (
        (("a",), ("fur",), "values of"),
        (("a", "a"), ("fur",), "the picture 'a' twice"),
        (("a", "b"), ("fur", "fur"), "values of|the attribute 'fur' twice"),
    ):
        with pytest.raises(SimvisError, match=said):
            AttributeLabels(pictures, ("",) * len(pictures), names, torch.zeros(2, len(names)))
