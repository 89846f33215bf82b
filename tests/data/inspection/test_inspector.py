from keras_transfer.data.decoding import formats
from keras_transfer.data.inspection import inspector
from keras_transfer.data.sources import load
from keras_transfer.support import logs
from keras_transfer.support.progress import Progress
from tests.conftest import write_photos


def test_a_jpeg_that_ends_in_its_header_is_told_by_the_program_alone(tmp_path, capfd):
    """libjpeg says so to standard error, from C, where no option of the program reaches."""
    data = write_photos(tmp_path / "photos", each=4)
    for name, length in (("00.jpg", 20), ("03.jpg", 300)):
        cut = data / "red" / name
        cut.write_bytes(cut.read_bytes()[:length])
    examples = load(str(data))
    logs.import_tensorflow()
    capfd.readouterr()
    _, inspections = inspector.inspect(examples, 10**8, Progress(quiet=True))
    assert [seen.fault for seen in inspections if seen.fault] == [formats.DAMAGED] * 2
    assert capfd.readouterr() == ("", "")
