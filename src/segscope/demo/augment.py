"""Random changes of training images that leave their meaning: geometry, light, colour, blur, noise, compression."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

__all__ = ["augment", "change_colors", "degrade", "warp"]

# Images are shrunk to a little more than the wanted size before they are warped, so that zooming in keeps detail and
# zooming out does not alias: 256 pixels for an input of 224.
_MARGIN = 8 / 7
_LUMA = (0.299, 0.587, 0.114)


def augment(images: Tensor, masks: Tensor, *, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Change images at random, and their masks along with them.

    Parameters
    ----------
    images : Tensor, uint8, B×3×H×W
        Red, green and blue.
    masks : Tensor, uint8, B×H×W
        Class indices.
    size : int
        Height and width of the result, in pixels.
    generator : torch.Generator
        Source of randomness; the same state gives the same result.

    Returns
    -------
    images : Tensor, float32, B×3×size×size
        Range 0..1.
    masks : Tensor, int64, B×size×size
        Class indices.
    """
    pixels, labels = warp(images.float() / 255, masks, size=size, generator=generator)
    return degrade(change_colors(pixels, generator=generator), generator=generator), labels


def warp(images: Tensor, masks: Tensor, *, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Flip, rotate, scale and shift; what lies beyond the border is mirrored.

    Parameters
    ----------
    images : Tensor, float32, B×3×H×W
        Range 0..1.
    masks : Tensor, uint8, B×H×W
        Class indices.
    size : int
        Height and width of the result, in pixels.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    images : Tensor, float32, B×3×size×size
        Bilinearly sampled.
    masks : Tensor, int64, B×size×size
        Sampled from the nearest pixel, so that no label is made up.
    """
    count = len(images)
    grid = functional.affine_grid(_random_affine(count, generator), [count, 1, size, size], align_corners=False)
    shrunk = min(round(size * _MARGIN), images.shape[-1])
    if shrunk < images.shape[-1]:
        images = functional.interpolate(images, (shrunk, shrunk), mode="bilinear", align_corners=False, antialias=True)
    options = {"padding_mode": "reflection", "align_corners": False}
    warped = functional.grid_sample(images, grid, mode="bilinear", **options)  # type: ignore[arg-type]
    labels = functional.grid_sample(masks[:, None].float(), grid, mode="nearest", **options)  # type: ignore[arg-type]
    return warped, labels[:, 0].long()


def _random_affine(count: int, generator: Generator) -> Tensor:
    """Return B×2×3 matrices that take output to source coordinates, both -1..1."""
    angle = torch.randn(count, generator=generator).clamp(-2.5, 2.5) * math.radians(8)
    scale = torch.exp(_uniform(count, -math.log(1.4), math.log(1.15), generator))
    stretch = torch.exp(_uniform(count, -0.08, 0.08, generator))
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    # Zoomed in, the frame may move to where it still shows the source; zoomed out, only a little.
    reach = (1 - scale).clamp(min=0.08)
    shift = torch.stack([_uniform(count, -1, 1, generator) * reach for _ in range(2)], dim=1)
    across = torch.stack([cosine * stretch * flip, -sine / stretch, shift[:, 0]], dim=1)
    down = torch.stack([sine * stretch * flip, cosine / stretch, shift[:, 1]], dim=1)
    return torch.stack([across, down], dim=1)


def change_colors(images: Tensor, *, generator: Generator) -> Tensor:
    """Change white balance, brightness, contrast, saturation and hue of each image.

    Parameters
    ----------
    images : Tensor, float32, B×3×H×W
        Range 0..1.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor, float32, B×3×H×W
        Range 0..1.
    """
    count = len(images)
    balance = torch.exp(torch.randn(count, 3, 1, 1, generator=generator) * 0.05)
    brightness, contrast, saturation = (
        torch.exp(_uniform(count, -reach, reach, generator)).view(-1, 1, 1, 1) for reach in (0.25, 0.25, 0.4)
    )
    images = images * balance * brightness
    images = torch.einsum("boc,bchw->bohw", _hue_rotation(torch.randn(count, generator=generator) * 0.12), images)
    gray = torch.einsum("c,bchw->bhw", images.new_tensor(_LUMA), images)[:, None]
    images = gray + (images - gray) * saturation
    middle = gray.mean(dim=(2, 3), keepdim=True)
    return (middle + (images - middle) * contrast).clamp(0, 1)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Return B×3×3 matrices that turn colours about the grey axis by an angle in radians."""
    axis = torch.full((3,), 3**-0.5)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * 3**-0.5
    cosine, sine = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    return cosine * torch.eye(3) + sine * cross + (1 - cosine) * torch.outer(axis, axis)


def degrade(images: Tensor, *, generator: Generator) -> Tensor:
    """Blur some images, add noise to some, and compress some as JPEG.

    Parameters
    ----------
    images : Tensor, float32, B×3×H×W
        Range 0..1.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor, float32, B×3×H×W
        Range 0..1; about half the images are as they were.
    """
    blurred, noisy, compressed = (torch.rand(len(images), generator=generator) < share for share in (0.15, 0.25, 0.15))
    changed = images.clone()
    for index in torch.nonzero(blurred).flatten().tolist():
        changed[index] = _blur(images[index], float(_uniform(1, 0.3, 1.3, generator)))
    strength = _uniform(len(images), 0.005, 0.04, generator) * noisy
    changed += torch.randn(images.shape, generator=generator) * strength.view(-1, 1, 1, 1)
    changed = changed.clamp(0, 1)
    for index in torch.nonzero(compressed).flatten().tolist():
        changed[index] = _compress(changed[index], int(_uniform(1, 35, 90, generator)))
    return changed


def _blur(image: Tensor, deviation: float) -> Tensor:
    taps = torch.exp(-0.5 * (torch.arange(-3, 4) / deviation) ** 2)
    taps = taps / taps.sum()
    padded = functional.pad(image[:, None], (3, 3, 3, 3), mode="reflect")
    rows = functional.conv2d(padded, taps.view(1, 1, 7, 1))
    return functional.conv2d(rows, taps.view(1, 1, 1, 7))[:, 0]


def _compress(image: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float() / 255


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)
