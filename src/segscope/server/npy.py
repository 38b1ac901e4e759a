"""Arrays on the wire, in NumPy's own format."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

__all__ = ["NPY", "NPZ", "NpyResponse", "NpzResponse", "to_npy", "to_npz"]

NPY = "application/x-npy"
NPZ = "application/x-npz"


class NpyResponse(Response):
    """A response that is a ``.npy`` file."""

    media_type = NPY


class NpzResponse(Response):
    """A response that is a ``.npz`` file."""

    media_type = NPZ


def to_npy(array: NDArray[Any]) -> bytes:
    """Return an array as a ``.npy`` file: little-endian, row-major.

    Parameters
    ----------
    array : ndarray
        Of any shape and number type.

    Returns
    -------
    bytes
        The file, format version 1.0.
    """
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(ordered))
    return header.getvalue() + ordered.tobytes()


def to_npz(arrays: dict[str, NDArray[Any]], described: dict[str, Any]) -> bytes:
    """Return arrays, and what describes them, as one file: a description may be longer than a header is let be.

    Parameters
    ----------
    arrays : dict of str to ndarray
        By name; each becomes ``name.npy``.
    described : dict
        Becomes ``description.json``.

    Returns
    -------
    bytes
        A ``.npz`` file, uncompressed, which :func:`numpy.load` reads.
    """
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_STORED) as file:
        for name, array in arrays.items():
            file.writestr(f"{name}.npy", to_npy(array))
        file.writestr("description.json", json.dumps(described))
    return buffer.getvalue()
