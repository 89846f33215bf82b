import os

import numpy as np
import pytest

from keras_transfer.compute.store import ActivationSet
from keras_transfer.support.errors import UserError
from tests.compute.conftest import batches, digests

pytestmark = pytest.mark.usefixtures("fresh_cache")


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "a changed bit": lambda shard: flip_a_bit(shard / "0.npy"),
    "a changed digest": lambda shard: flip_a_bit(shard / "digests.npy"),
    "a changed manifest": lambda shard: (shard / "shard.json").write_text(
        (shard / "shard.json").read_text().replace('"images": 9', '"images": 8')
    ),
    "a cut tensor": lambda shard: os.truncate(shard / "0.npy", 150),
    "an empty tensor": lambda shard: os.truncate(shard / "1.npy", 0),
    "empty digests": lambda shard: os.truncate(shard / "digests.npy", 0),
    "an empty manifest": lambda shard: os.truncate(shard / "shard.json", 0),
    "no tensor": lambda shard: (shard / "0.npy").unlink(),
    "no digests": lambda shard: (shard / "digests.npy").unlink(),
    "a folder in place of a tensor": lambda shard: [(shard / "0.npy").unlink(), (shard / "0.npy").mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_named_and_computed_anew(damage):
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    DAMAGES[damage](shard)
    for _ in range(2):  # A run that ends before it has written the images again leaves them missing.
        stored = ActivationSet({"base": "a"})
        assert stored.missing(digests(9)) == list(range(9))
    assert not shard.exists()
    stored.write(digests(9), batches(9))
    again = ActivationSet({"base": "a"})
    assert again.missing(digests(9)) == []
    assert again.damaged == []
    np.testing.assert_array_equal(again.read(digests(9), [1])[0], np.arange(9))


def test_what_was_damaged_is_said():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    flip_a_bit(shard / "0.npy")
    stored = ActivationSet({"base": "a"})
    stored.missing(digests(9))
    assert stored.damaged == [f"{shard}: 0.npy differs from its checksum"]


def test_of_a_damaged_shard_what_others_hold_is_kept():
    runs = [ActivationSet({"base": "a"}) for _ in range(2)]
    for run in runs:
        run.write(digests(9), batches(9))
    flip_a_bit(sorted(runs[0].folder.glob("shard-*"))[1] / "0.npy")
    stored = ActivationSet({"base": "a"})
    assert stored.missing(digests(9)) == []
    assert len(stored.damaged) == 1
    np.testing.assert_array_equal(stored.read(digests(9), [1])[0], np.arange(9))


def test_only_the_shards_that_are_needed_are_verified():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    stored.write(digests(9, start=9), batches(9))
    flip_a_bit(sorted(stored.folder.glob("shard-*"))[1] / "0.npy")
    stored = ActivationSet({"base": "a"})
    assert stored.missing(digests(9)) == []
    assert stored.damaged == []
    assert stored.missing(digests(18)) == list(range(9, 18))


def test_a_shard_that_was_cut_is_never_read_as_if_whole():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    os.truncate(shard / "0.npy", 150)
    for cut in (stored, ActivationSet({"base": "a"})):
        with pytest.raises(UserError, match="deleted or changed"):
            cut.read(digests(9), [0])
