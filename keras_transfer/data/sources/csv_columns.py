"""The columns of a table that may hold its labels, by their headings and by their cells."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from keras_transfer.data.sources.csv_text import Table
from keras_transfer.support.errors import UserError

LABEL = ("label", "class", "category", "target", "value")
SEVERAL = ("labels", "tags")
_FLAGS = {"false": 0, "true": 1}
_YES_AND_NO = {"no": 0, "yes": 1, "n": 0, "y": 1, "f": 0, "t": 1}


@dataclass(frozen=True)
class Candidates:
    """Columns of a table that may hold its labels.

    Attributes:
        several: Called as one that has several labels a row.
        single: Called as one that has one label, or number, a row.
        flags: Of 0 and 1, each of which may be a class; of yes and no where there is nothing else.
        free: All but those that hold something else.
    """

    several: str | None
    single: str | None
    flags: Sequence[str]
    free: Sequence[str]

    @property
    def named(self) -> str | None:
        """The one that is called as labels are."""
        return self.several or self.single

    @property
    def unclear(self) -> bool:
        """Whether that one may be a class among others."""
        return self.named in self.flags and len(self.flags) > 1


def candidates(table: Table, roles: dict[str, str], taken: Collection[str]) -> Candidates:
    """Return the columns of a table that may hold its labels.

    Args:
        table: Its rows are images.
        roles: Columns that the user named, by `label` or `labels`; then no flag is a class.
        taken: Columns that are none of labels.
    """
    single, several = roles.get("label") or table.first_of(LABEL), roles.get("labels")
    if several is None and "label" not in roles:
        several = table.first_of(SEVERAL[:1] if single else SEVERAL)  # Tags of images that have labels are no labels.
    free = [name for name in table.columns if name not in taken]
    flags = [name for name in free if all(flag(cell) is not None for cell in table.columns[name])]
    if "label" in roles or "labels" in roles:
        flags = []
    elif not (several or single) and len(flags) < 2:
        flags = [name for name in free if all(yes_or_no(cell) is not None for cell in table.columns[name])]
    return Candidates(several, single, flags, free)


def demand_flags(table: Table, free: Sequence[str]) -> None:
    """Refuse a column that is of 0 and 1 but for some cells."""
    for name in free:
        cells = table.columns[name]
        odd = [index for index, cell in enumerate(cells) if flag(cell) is None]
        flags = len(cells) - len(odd)
        if odd and flags and (2 * flags >= len(cells) or not any(cells[index] for index in odd)):
            place, cell = table.place(odd[0]), cells[odd[0]]
            raise UserError(
                f"{place}: {cell!r} in column {name!r} is neither 0 nor 1, as its other cells are. "
                "Mend it, or remove the column; a column of labels is named by --columns label=NAME."
            )


def flag(cell: str) -> int | None:
    """Return 0 or 1 for a cell that says so (`0.0`, `True`), None for others."""
    if re.fullmatch(r"[01](\.0*)?", cell):
        return int(cell[0])
    return _FLAGS.get(cell.lower())


def yes_or_no(cell: str) -> int | None:
    """Return the same also for a cell of `yes`, `no`, or their first letters."""
    value = flag(cell)
    return _YES_AND_NO.get(cell.lower()) if value is None else value
