"""Where the program keeps files on this machine."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from keras_transfer.support.errors import UsageError
from keras_transfer.support.progress import Progress

SAVED_MODELS = "saved_models"  # Where models go unless `--output` says otherwise.


def cache_folder() -> Path:
    """Return the user's cache folder for this program; the environment variable KERAS_TRANSFER_CACHE moves it."""
    chosen = os.environ.get("KERAS_TRANSFER_CACHE")
    folder = Path(os.path.expanduser(chosen or platformdirs.user_cache_dir("keras_transfer", appauthor=False)))
    return _NOWHERE if folder.parts[:1] == ("~",) else folder


_NOWHERE = Path(os.devnull) / "no-home"  # Where nothing can be made, in place of a home folder that is not known.
_temporary: dict[Path, Path] = {}  # In place of cache folders that cannot be written to.


def writable_cache_folder() -> Path:
    """Return the cache folder, or, where it cannot be written to, a temporary one, with a warning, until the process
    ends.
    """
    folder = cache_folder()
    if folder in _temporary:
        return _temporary[folder]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_to(folder)
        return folder
    except OSError as error:
        where = f"{folder} cannot be written to ({error.strerror})" if folder != _NOWHERE else "No home folder is known"
        Progress(quiet=True).warn(
            f"{where}: activations are stored in a temporary folder, and computed anew in the next run. The "
            "environment variable KERAS_TRANSFER_CACHE names another folder."
        )
    temporary = _temporary[folder] = Path(tempfile.mkdtemp(prefix="keras_transfer-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary


def demand_writable(folder: Path, option: str) -> None:
    """Refuse, before any work, a folder that nothing can be written to, now or once it is made.

    Args:
        folder: Need not exist; then its nearest parent that does counts.
        option: Which names it, or a file in it.

    Raises:
        UsageError: that is no folder, or cannot be written to.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise UsageError(f"{option}: {existing} is a file. Give a folder.")
    try:
        _write_to(existing)
    except OSError as error:
        raise UsageError(
            f"{option}: {existing} cannot be written to ({error.strerror}). Give another folder, or change its rights."
        ) from error


def demand_utf8(folder: Path, option: str) -> None:
    """Refuse, before any work, a folder whose name TensorFlow cannot write to, for it takes names as UTF-8 alone.

    Raises:
        UsageError: the name holds other bytes.
    """
    name = os.fsencode(folder).decode("utf-8", "backslashreplace")
    if name.encode() != os.fsencode(folder):
        raise UsageError(
            f"{option}: '{name}' holds bytes that are not UTF-8, and TensorFlow writes to no such folder. Give another."
        )


def demand_file(file: Path, suffix: str, option: str) -> None:
    """Refuse, before any work, a file that cannot be written, or whose name does not end as it should.

    Args:
        file: Its folder need not exist.
        suffix: Such as `.npz`.
        option: Which names it.

    Raises:
        UsageError: its name ends otherwise, it is a folder, or it cannot be written.
    """
    if file.suffix != suffix or file.is_dir():
        raise UsageError(f"{option} must be a file that ends in {suffix}. Received: {str(file)!r}.")
    demand_writable(file.parent, option)


def page_and_table(html: str | Path | None, csv: str | Path | None) -> tuple[Path | None, Path | None]:
    """Return the files of a page and of a table, refused before any work if they cannot be written; None is written
    nowhere.

    Raises:
        UsageError: as `demand_file`, or one is no path.
    """
    page, table = (
        None if file is None else Path(text_of(file, option)).expanduser()
        for file, option in ((html, "--html"), (csv, "--csv"))
    )
    for file, suffix, option in ((page, ".html", "--html"), (table, ".csv", "--csv")):
        if file is not None:
            demand_file(file, suffix, option)
    return page, table


def demand_other_file(file: Path, data: str, option: str) -> None:
    """Refuse to write a file over the data that it is made from.

    Args:
        file: To write.
        data: As `Recipe.data`.
        option: Which names the file.

    Raises:
        UsageError: they are the same, or a table would take the place of one in the folder of the data.
    """
    source = Path(data).expanduser()
    if not (file.exists() and source.exists()):
        return
    if file.samefile(source):
        raise UsageError(f"{option}: {file} is the data itself, which would be lost. Give another file.")
    if file.suffix == ".csv" and file.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{option}: {file} lies in the data and may hold its labels. Give another file, or delete it.")


def demand_outside(folder: Path, data: str, option: str) -> None:
    """Refuse a folder for results within the folder of the data, of which they would be a class from then on.

    Args:
        folder: Need not exist.
        data: As `Recipe.data`.
        option: Which names the folder.

    Raises:
        UsageError: it lies there.
    """
    source, target = Path(data).expanduser().resolve(), folder.resolve()
    if source.is_dir() and target.is_relative_to(source):
        raise UsageError(
            f"{option}: {folder} lies in the folder of the images, where it would be taken for a class. Give another."
        )


def _write_to(folder: Path) -> None:
    # Rights tell little to a superuser, and nothing of a disk that is mounted to be read only.
    with tempfile.TemporaryFile(dir=folder):
        pass


def readable_cache_folders() -> list[Path]:
    """Return the cache folder, and the temporary one that is written to instead, if there is one."""
    folder = cache_folder()
    return [folder, *filter(None, [_temporary.get(folder)])]


def text_of(value: object, argument: str) -> str:
    """Return the text of an argument that is a path, or a name that may stand in its place.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(value, (str, os.PathLike)):
        return os.fsdecode(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else [value]
    arrays = any(hasattr(part, "__array__") for part in parts)
    advice = " Write arrays to a file, np.savez('photos.npz', x=images, y=labels), and give that." * arrays
    raise UsageError(f"{argument} must be a path or a name. Received: a value of type {type(value).__name__}.{advice}")


def absolute(name: str) -> str:
    """Return a path, or a glob, as one that means the same from any working folder."""
    return os.path.abspath(Path(name).expanduser())


def portable(name: str) -> str:
    """Return a path as a reader on another machine can use it: relative, if it lies below the working folder;
    otherwise its last part, or, of the model in a version folder, its last four. What is no path stays as it is.
    """
    path = Path(shown(name))
    if not (path.is_absolute() or path.parts[:1] in (("..",), ("~",))) or "://" in name:
        return shown(name)
    return str(Path(*path.parts[-4:])) if path.parts[-2:-1] == ("assets.extra",) else path.name


def shown(name: str) -> str:
    """Return a path as a person here would type it: relative, if it lies below the working folder."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else name
