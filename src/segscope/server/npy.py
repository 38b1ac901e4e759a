"""Arrays on the wire, in NumPy's own format."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

__all__ = ["NPY", "NpyResponse", "to_npy"]

NPY = "application/x-npy"


class NpyResponse(Response):
    """A response that is a ``.npy`` file."""

    media_type = NPY


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
