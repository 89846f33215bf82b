import h5py
import numpy as np
import pytest

from keras_transfer.network import h5
from keras_transfer.support.errors import UserError


def external_storage(stream, secret):
    stream.create_dataset("dense/kernel", (4,), "uint8", external=[(str(secret), 0, 4)])


def external_link(stream, secret):
    stream["dense/kernel"] = h5py.ExternalLink(str(secret), "/kernel")


def soft_link(stream, secret):
    stream["other"] = h5py.ExternalLink(str(secret), "/")
    stream["dense/kernel"] = h5py.SoftLink("/other/kernel")


def virtual(stream, secret):
    layout = h5py.VirtualLayout((4,), "uint8")
    layout[:] = h5py.VirtualSource(str(secret), "kernel", (4,))
    stream.create_virtual_dataset("dense/kernel", layout)


@pytest.mark.parametrize("write", [external_storage, external_link, soft_link, virtual])
def test_values_in_other_files_are_refused_by_name(write, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"1234")
    with h5py.File(tmp_path / "a.h5", "w") as stream:
        write(stream, secret)
    with pytest.raises(UserError, match=r"a\.h5 is refused.*dense/kernel") as caught:
        h5.check(tmp_path / "a.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"chunks": (1024,), "compression": "gzip"}])
def test_a_shape_that_lies_is_refused_before_it_is_read(options, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as stream:
        stream.create_dataset("dense/kernel", (10**12,), "float32", **options)
    with pytest.raises(UserError, match=r"declares 4,000\.0 GB up to 'dense/kernel'"):
        h5.check(tmp_path / "a.h5")


def test_compressed_weights_are_none_of_that(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as stream:
        stream.create_dataset("dense/kernel", data=np.zeros(10**6), compression="gzip")
        stream["alias"] = stream["dense"]
    assert h5.check(tmp_path / "a.h5") >= 10**6


def test_a_configuration_nested_too_deeply_is_an_error_of_one_line():
    with pytest.raises(ValueError, match="nested too deeply"):
        h5.parsed('{"a":' * 100_000 + "1" + "}" * 100_000)
