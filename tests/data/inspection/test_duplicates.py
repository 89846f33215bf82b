import functools

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_transfer.data.inspection import duplicates


def hashes(count, seed=0):
    return np.random.default_rng(seed).random((count, 256)) < 0.5


def groups_of(rows):
    return duplicates.components(len(rows), duplicates.near(rows))


def changed(row, bits, seed):
    places = np.random.default_rng(seed).permutation(256)[:bits]
    copy = row.copy()
    copy[places] ^= True
    return copy


def test_links_join_what_is_alike_directly_or_through_others():
    rows = hashes(1500)
    rows[700] = changed(rows[3], 60, 1)  # As far as is alike.
    rows[1400] = changed(rows[700], 50, 2)  # Too far from the third, but not from the one between.
    rows[20] = rows[10]
    rows[1200] = changed(rows[11], 61, 3)
    links = duplicates.near(rows)
    assert sorted(map(tuple, links.tolist())) == [(3, 700, 60, 0), (10, 20, 0, 0), (700, 1400, 50, 0)]
    groups = groups_of(rows)
    assert groups[3] == groups[700] == groups[1400]
    assert groups[10] == groups[20]
    assert len(np.unique(groups)) == 1500 - 3


def test_of_pictures_that_are_all_alike_only_a_tree_is_kept():
    row = hashes(1)[0]
    rows = np.stack([changed(row, 10, seed) for seed in range(1100)])
    links = duplicates.near(rows)
    assert len(links) == 1099
    assert links[:, 2].max() <= 20
    assert len(np.unique(groups_of(rows))) == 1


def test_a_picture_is_alike_mirrored_and_turned_by_quarters_and_it_is_said():
    coarse = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3)).astype("uint8")
    picture, other = (Image.fromarray(pixels).resize((64, 64)) for pixels in coarse)
    positions = [turned for angle in (0, 90, 180, 270) for turned in _mirrored(picture.rotate(angle))]
    pictures = [picture, other, *positions[1:], picture.resize((48, 48))]
    links = duplicates.near(np.stack([duplicates.perceptual_hash(np.asarray(each)) for each in pictures]))
    assert len(np.unique(duplicates.components(len(pictures), links))) == 2
    assert [0, 9] in links[:, :2].tolist()
    for first, second, _, changed in links.tolist():
        assert changed == ((first, second) != (0, 9))


def _mirrored(picture):
    return picture, ImageOps.mirror(picture)


@pytest.mark.parametrize(
    ("groupings", "expected"),
    [
        (([0, 1, 2, 3], None), None),
        (([0, 0, 1, 2], None), [0, 0, 1, 2]),
        (([0, 0, 1, 2], [5, 6, 6, 7]), [0, 0, 0, 1]),
    ],
)
def test_groupings_are_joined(groupings, expected):
    groups = duplicates.joined(*(None if given is None else np.asarray(given) for given in groupings))
    assert (None if groups is None else groups.tolist()) == expected


def test_graph_routines_get_indices_of_32_bits(monkeypatch):
    """SciPy 1.16.3 refuses others: "Buffer dtype mismatch, expected ITYPE_t but got long"."""
    from scipy.sparse import csgraph

    types = []

    def spied(routine, graph, **options):
        types.append((graph.format, graph.indices.dtype) if graph.format == "csr" else graph.format)
        return routine(graph, **options)

    for name in ("minimum_spanning_tree", "connected_components"):
        monkeypatch.setattr(csgraph, name, functools.partial(spied, getattr(csgraph, name)))
    rows = hashes(20)
    rows[7] = rows[3]
    assert len(np.unique(groups_of(rows))) == 19
    assert types == [("csr", np.dtype("int32"))] * 2
