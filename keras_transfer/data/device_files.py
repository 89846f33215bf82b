"""What devices and programs leave behind among a user's own folders and files."""

from __future__ import annotations

# Folders of thumbnails, waste baskets and metadata, in lower case; those that begin with a dot are hidden anyway.
_DEVICE_FOLDERS = {
    "@eadir",  # Synology
    "@__thumb",  # QNAP
    "@recycle",
    "@recently-snapshot",
    "@tmp",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "__macosx",
    "__pycache__",
}
_DEVICE_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini"}
_DEVICE_ENDINGS = ("@synoeastream", "@synoresource", ":zone.identifier")


def is_device_folder(name: str) -> bool:
    """Return whether a folder is a device's or a program's, not the user's."""
    return name.startswith(".") or name.lower() in _DEVICE_FOLDERS


def is_device_file(name: str) -> bool:
    """Return whether a file is a device's or a program's, not the user's."""
    lower = name.lower()
    return name.startswith(".") or lower in _DEVICE_FILES or lower.endswith(_DEVICE_ENDINGS)
