"""Where the numbers of whole collections of images are kept between two runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Row", "Store", "open_store"]

# Another shape of the table gets another number.
_FILE = "statistics-2.duckdb"
# It serves beside a network that needs the cores and the memory.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": "256MB"}
_TABLE = """
CREATE TABLE IF NOT EXISTS results (
    model TEXT, image TEXT, version TEXT,
    confidence DOUBLE, shares DOUBLE[], iou DOUBLE[], true_shares DOUBLE[],
    PRIMARY KEY (model, image)
)
"""


class Row(NamedTuple):
    """What is kept of one image.

    Parameters
    ----------
    confidence : float
        Mean over the pixels of the largest class probability, 0..1.
    shares : list of float
        For each class, its share of the image's pixels.
    iou : list of (float or None), or None
        For each class, intersection over union with the true mask; None without a true mask.
    true_shares : list of float, or None
        For each class, the share of the image's pixels that truly are of it; None without a true mask.
    """

    confidence: float
    shares: list[float]
    iou: list[float | None] | None
    true_shares: list[float] | None = None


class Store:
    """Results of one model in a database.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Open.
    model : str
        The model's fingerprint.
    """

    def __init__(self, connection: DuckDBPyConnection, model: str) -> None:
        self._connection = connection
        self._model = model
        connection.execute(_TABLE)

    def load(self) -> dict[str, tuple[str, Row]]:
        """Return the version and the result of every image that has one, by the image's key."""
        query = "SELECT image, version, confidence, shares, iou, true_shares FROM results WHERE model = ?"
        found = self._connection.execute(query, [self._model]).fetchall()
        return {image: (version, Row(*numbers)) for image, version, *numbers in found}

    def save(self, image: str, version: str, row: Row) -> None:
        """Keep a result in place of an older one.

        Parameters
        ----------
        image, version : str
            The image's key, and what changes with it.
        row : Row
            The result.
        """
        import duckdb

        values = [self._model, image, version, *row]
        # A full disk costs no more than having to work it out again.
        with contextlib.suppress(duckdb.Error):
            self._connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", values)


@contextmanager
def open_store(folder: Path, model: str) -> Iterator[Store | None]:
    """Open the database in a folder, for as long as the block runs.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    model : str
        The model's fingerprint.

    Yields
    ------
    Store or None
        None where there can be none: another process has it open, the folder can't be written to, the file is damaged.
    """
    import duckdb

    with contextlib.ExitStack() as opened:
        store: Store | None = None
        with contextlib.suppress(OSError, duckdb.Error):
            folder.mkdir(parents=True, exist_ok=True)
            connection = opened.enter_context(contextlib.closing(duckdb.connect(folder / _FILE, config=_SETTINGS)))
            store = Store(connection, model)
        yield store
