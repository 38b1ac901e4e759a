"""Images with masks, read from a folder into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InvalidInput

__all__ = ["LabelledImages", "read_labelled_images"]

_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class LabelledImages:
    """Images of one size, each with the true class of every pixel.

    Parameters
    ----------
    images : Tensor, uint8, N×3×H×W
        Red, green and blue.
    masks : Tensor, uint8, N×H×W
        Class indices.
    names : tuple of str
        Name of each image, without suffix.
    """

    images: Tensor
    masks: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        """Return the SHA-256 of all pixels and labels, which tells whether two sets are the same.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for image, mask in zip(self.images, self.masks, strict=True):
            digest.update(image.numpy().tobytes())
            digest.update(mask.numpy().tobytes())
        return digest.hexdigest()


def read_labelled_images(directory: str | os.PathLike[str], *, classes: int) -> LabelledImages:
    """Read a folder of images and masks into memory.

    Parameters
    ----------
    directory : str or path
        Holds ``images/NAME.png`` (or ``.jpg``) and ``masks/NAME.png`` with the class index as value.
    classes : int
        Number of classes; every mask value is below it.

    Returns
    -------
    LabelledImages
        In the order of their names.

    Raises
    ------
    InvalidInput
        If there are no images, a mask is missing, sizes differ, or a mask has a value that is no class.
    """
    root = Path(directory)
    files = sorted(file for file in (root / "images").glob("*") if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise InvalidInput(
            f"{root} holds no images; expected images/*.png and masks/*.png. Write some with `segscope mushrooms`."
        )
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    masks = [_read_mask(root / "masks" / f"{file.stem}.png", classes) for file in files]
    _check_sizes(files, images, masks)
    return LabelledImages(
        images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        masks=torch.from_numpy(np.stack(masks)),
        names=tuple(file.stem for file in files),
    )


def _read_mask(file: Path, classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if not file.exists():
        raise InvalidInput(f"The mask masks/{file.name} is missing; expected one mask for each image.")
    mask = np.array(Image.open(file), dtype=np.uint8)
    if mask.ndim != 2 or mask.max(initial=0) >= classes:
        raise InvalidInput(
            f"The mask masks/{file.name} has shape {mask.shape} and values up to {mask.max(initial=0)}; "
            f"expected one channel with class indices 0 to {classes - 1}."
        )
    return mask


def _check_sizes(files: Sequence[Path], images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> None:
    expected = images[0].shape[:2]
    for file, image, mask in zip(files, images, masks, strict=True):
        if image.shape[:2] != expected or mask.shape != expected:
            raise InvalidInput(
                f"{file.name} has size {image.shape[:2]} and its mask {mask.shape}; expected {expected} "
                "as the first image has. Resize all to one size."
            )
