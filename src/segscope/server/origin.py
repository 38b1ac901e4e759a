"""Where a server's model and images come from, in the words of whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..demo import DATA
from ..script import call, literal
from ..windows import Windows
from .gallery import GalleryImage

__all__ = ["Origin"]

_RELATIVE = "Paths are relative to the folder in which the explorer was started."


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a server's model and images come from. Nothing is told that its user didn't say.

    Parameters
    ----------
    source : str, optional
        What :meth:`segscope.SegmentationModel.load` took; without it, the model came as an object.
    is_network : bool
        Whether that object was a bare network.
    weights : str, optional
        The file of weights that the source was loaded with.
    classes, colors : sequence of str, optional
        What the source was loaded with.
    windows : Windows, optional
        How larger images are cut.
    classes_file : str, optional
        The file that had them.
    shown_bands : sequence of int, optional
        The bands that were chosen to be shown.
    given : mapping of str to str
        For the ids of images that came one by one, the expression that each is.
    """

    source: str | None = None
    is_network: bool = False
    weights: str | None = None
    classes: tuple[str, ...] | None = None
    colors: tuple[str, ...] | None = None
    windows: Windows | None = None
    classes_file: str | None = None
    shown_bands: tuple[int, ...] | None = None
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str | None:
        """The expression that makes the model; None where there is a variable of that name."""
        if self.source is None:
            return "segscope.SegmentationModel(network)" if self.is_network else None
        names = {"classes": self.classes, "colors": self.colors}
        options = [] if self.weights is None else [f"weights={literal(self.weights)}"]
        options += [
            f"{option}=[{', '.join(map(literal, names))}]" for option, names in names.items() if names is not None
        ]
        options += [] if self.windows is None else [f"windows=segscope.{self.windows!r}"]
        loaded = call("segscope.SegmentationModel.load", [literal(self.source), *options])
        return loaded if self.shown_bands is None else f"{loaded}.with_options(shown_bands={self.shown_bands})"

    def image(self, image: GalleryImage) -> str:
        """Return the expression that is an image; an upload is the file that the visitor saved."""
        return self.given.get(image.id) or _place(self.path(image))

    def path(self, image: GalleryImage) -> Path:
        """Return where an image's file is, or is to be saved."""
        return image.source if isinstance(image.source, Path) else Path(image.name)

    def has_path(self, image: GalleryImage) -> bool:
        """Whether a command can name the image's file, which one inside the package it can't."""
        return image.id not in self.given and not self.path(image).is_relative_to(DATA)

    def truth(self, image: GalleryImage) -> str | None:
        """Return the expression that is an image's true mask."""
        return None if image.mask is None else _place(image.mask)

    def notes(self, image: GalleryImage) -> list[str]:
        """Return what whoever runs the lines for an image has to know."""
        notes = []
        if self.source is None:
            name = "network" if self.is_network else "model"
            notes.append(f"`{name}` is what the explorer was opened with: segscope.show({name}, …).")
        given = self.given.get(image.id)
        if given is not None and given.startswith("images["):
            notes.append("`images` are what the explorer was opened with: segscope.show(…, images).")
        if given is None and isinstance(image.source, bytes):
            notes.append(
                f"Save the uploaded image as {literal(image.name)} beside this script: the explorer hands it out."
            )
        if self._is_relative(image):
            notes.append(_RELATIVE)
        return notes

    def _is_relative(self, image: GalleryImage) -> bool:
        place, colon, _ = (self.source or "").rpartition(":")
        own_file = bool(colon) and place.endswith(".py") and not Path(place).is_absolute()
        return own_file or (isinstance(image.source, Path) and not image.source.is_absolute())


def _place(path: Path) -> str:
    if path.is_relative_to(DATA):
        # Where the package lies is the server's business.
        return " / ".join(["segscope.demo.DATA", *map(literal, path.relative_to(DATA).parts)])
    return literal(str(path))
