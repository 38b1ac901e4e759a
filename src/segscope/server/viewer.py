"""The explorer out of a running program: in a notebook's cell, or at an address."""

from __future__ import annotations

import html
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image
from torch import nn

from ..errors import InvalidInput, SegscopeError
from ..image import ImageLike, read_pixels, read_tensor
from ..model import SegmentationModel
from ..script import literal
from .gallery import Gallery
from .launch import find_place, make_server
from .origin import Origin
from .session import DEFAULT_MEMORY

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Viewer", "show"]

Images: TypeAlias = "str | os.PathLike[str] | Iterable[ImageLike]"

# Where a notebook that runs on this machine has its own page.
_NOTEBOOKS = ("http://localhost:*", "http://127.0.0.1:*")
_SECONDS_TO_START = 60
_SECONDS_TO_END = 10


class Viewer:
    """An explorer that runs in the background, for this machine only.

    As the last value of a notebook's cell it shows the page; anywhere else, open :attr:`url` in a browser. It ends with
    :meth:`close`, with its ``with`` block, or with the program.

    Attributes
    ----------
    url : str
        The page's address.
    height : int
        Of the page in a notebook, in pixels.
    """

    def __init__(
        self, model: SegmentationModel, gallery: Gallery, *, memory: int, height: int, origin: Origin | None = None
    ) -> None:
        place = find_place(port=0)
        self.url = place.address
        self.height = height
        self._place = place
        ready = threading.Event()
        try:
            self._server = make_server(
                model,
                gallery,
                access=replace(place.access, framed_by=_NOTEBOOKS),
                memory=memory,
                origin=origin,
                on_ready=ready.set,
            )
        except SegscopeError:
            place.listener.close()
            raise
        self._thread = threading.Thread(target=self._run, name="segscope explorer", daemon=True)
        self._thread.start()
        if not ready.wait(_SECONDS_TO_START):
            self.close()
            raise InvalidInput(f"The explorer didn't start within {_SECONDS_TO_START} seconds; try again.")

    @property
    def closed(self) -> bool:
        """Whether the explorer has ended."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the explorer, and give back the memory of its predictions. Closing twice does no harm."""
        self._server.should_exit = True
        self._thread.join(_SECONDS_TO_END)

    def __enter__(self) -> Self:
        """Return the explorer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the explorer."""
        self.close()

    def __repr__(self) -> str:
        """Return the address, or that it has ended."""
        return f"Viewer({'closed' if self.closed else self.url})"

    def _repr_html_(self) -> str:
        """Return the page as a frame, which Jupyter shows."""
        if self.closed:
            return "<p>This explorer was closed.</p>"
        address = html.escape(self.url, quote=True)
        return (
            f'<iframe src="{address}" title="segscope" width="100%" height="{self.height}" '
            'style="border: 0" allow="clipboard-write"></iframe>'
        )

    def _run(self) -> None:
        with self._place.listener:
            self._server.run(sockets=[self._place.listener])


def show(
    model: SegmentationModel | nn.Module | str,
    images: Images,
    *,
    masks: str | os.PathLike[str] | None = None,
    memory: int = DEFAULT_MEMORY,
    height: int = 800,
) -> Viewer:
    """Open the explorer on a model and some images; in a notebook, its page appears below the cell.

    Parameters
    ----------
    model : SegmentationModel, torch.nn.Module or str
        A model, a network, or what :meth:`SegmentationModel.load` takes, such as ``"demo"``.
    images : path or iterable
        A folder, or images: paths, PIL images, arrays uint8 or uint16, H×W×C, or floating-point C×H×W arrays or
        tensors, which are the network's input as they are.
    masks : path, optional
        A folder with the true masks of a folder of images, by the same names: files whose values are class indices.
    memory : int
        Bytes that predictions, answers and batches of passes may take together.
    height : int
        Of the page in a notebook, in pixels.

    Returns
    -------
    Viewer
        Has ``.url`` and ``.close()``; it answers on this machine only.

    Raises
    ------
    InvalidInput
        When there are no images, a folder isn't there, or masks are given without a folder of images.
    InvalidImage
        When an image can't be read.
    """
    if not height > 0:
        raise InvalidInput(f"The height is {height!r}; expected pixels, a number above zero.")
    given: dict[str, str] = {}
    if isinstance(images, (str, os.PathLike)):
        gallery = Gallery(images, masks=masks)
    elif masks is not None:
        raise InvalidInput("Masks were given with images that aren't in a folder; give a folder for both.")
    else:
        gallery, given = _gallery_of(images)
    origin = Origin(
        source=model if isinstance(model, str) else None, is_network=isinstance(model, nn.Module), given=given
    )
    return Viewer(_loaded(model), gallery, memory=memory, height=int(height), origin=origin)


def _loaded(model: SegmentationModel | nn.Module | str) -> SegmentationModel:
    if isinstance(model, SegmentationModel):
        return model
    return SegmentationModel.load(model) if isinstance(model, str) else SegmentationModel(model)


def _gallery_of(images: Iterable[ImageLike]) -> tuple[Gallery, dict[str, str]]:
    """Return the images as a gallery, and for each id the expression that the image is."""
    files = [_file(image, index) for index, image in enumerate(images)]
    if not files:
        raise InvalidInput("There are no images to show; give a folder, or at least one image.")
    gallery = Gallery(kept_bytes=sum(len(data) for data, _, _ in files) + 256 * 2**20)
    # The newest is listed first.
    given = {gallery.add(data, name).id: expression for data, name, expression in reversed(files)}
    return gallery, given


def _file(image: ImageLike, index: int) -> tuple[bytes, str, str]:
    """Return an image as a file, its name, and the expression that it is."""
    if isinstance(image, (str, os.PathLike)):
        try:
            return Path(image).read_bytes(), Path(image).name, literal(os.fspath(image))
        except OSError as error:
            raise InvalidInput(f"The image {os.fspath(image)!r} can't be read: {error.strerror or error}.") from None
    file = BytesIO()
    values = read_tensor(image)
    pixels = read_pixels(image) if values is None else values.numpy()
    grey = values is None and pixels.shape[2] == 1
    if grey or (pixels.dtype == np.uint8 and pixels.shape[2] == 3):
        Image.fromarray(pixels[..., 0] if grey else pixels).save(file, "PNG", compress_level=1)
    else:
        np.save(file, pixels)
    return file.getvalue(), f"image {index}", f"images[{index}]"
