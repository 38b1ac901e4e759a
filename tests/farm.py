"""A user's folder: a network of their own, three photographs, two masks, and a file that is no image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["CLASSES", "FARM", "NETWORK", "make_farm", "photograph"]

FARM = ("network.py:build", "--images", "images", "--masks", "masks", "--classes", "classes.txt")
CLASSES = ("ground", "sky", "barn", "lawn")

NETWORK = """
import torch
from torch import nn

# A colour for each class; a pixel belongs to the nearest.
COLOURS = torch.tensor([[0.05, 0.05, 0.05], [0.4, 0.6, 0.95], [0.8, 0.2, 0.15], [0.25, 0.65, 0.2]])


class Farm(nn.Module):
    def __init__(self):
        super().__init__()
        self.smooth = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Conv2d(6, 4, 1)
        with torch.no_grad():
            self.smooth.weight.zero_()
            self.smooth.bias.zero_()
            for channel in range(6):
                self.smooth.weight[channel, channel % 3] = 1 / 9
            self.classifier.weight.zero_()
            self.classifier.weight[:, :3, 0, 0] = 20 * COLOURS
            self.classifier.bias.copy_(-10 * (COLOURS ** 2).sum(1))

    def forward(self, images):
        return self.classifier(self.relu(self.smooth(images)))


def build():
    return Farm()
"""


def photograph(seed: int, *, height: int = 120, width: int = 160) -> tuple[Image.Image, np.ndarray[Any, Any]]:
    """A barn on a lawn under the sky, with light, texture, blur and noise; and its true mask."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    truth = np.where(rows < height * (0.45 + 0.05 * np.sin(columns / 25 + seed)), 1, 3).astype(np.uint8)
    left = 30 + int(generator.integers(0, 60))
    truth[50:90, left : left + 45] = 2
    colours = np.array([[13, 13, 13], [102, 153, 242], [204, 51, 38], [64, 166, 51]], dtype=float)
    coarse = Image.fromarray(generator.integers(0, 255, (height // 4, width // 4), dtype=np.uint8))
    texture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)[..., None]
    pixels = colours[truth] * (0.9 + 0.2 * texture / 255) + generator.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7)), truth


def make_farm(folder: Path) -> Path:
    """Fill a folder."""
    (folder / "network.py").write_text(NETWORK)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for number in range(3):
        picture, truth = photograph(number)
        picture.save(folder / "images" / f"farm{number}.png")
        if number < 2:
            Image.fromarray(truth).save(folder / "masks" / f"farm{number}.png")
    (folder / "images" / "notes.png").write_text("not an image")
    return folder
