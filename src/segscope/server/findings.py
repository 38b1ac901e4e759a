"""What is known by now of every image, and what of it is new to a visitor."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from .store import Row

__all__ = ["Finding", "Findings", "News"]


@dataclass(frozen=True)
class Finding:
    """What is known of one image.

    Parameters
    ----------
    version : str
        Of the image, its mask and the network: another one makes the numbers old.
    row : Row or None
        The numbers; None where there can't be any.
    problem : str
        Why there are none.
    """

    version: str
    row: Row | None
    problem: str = ""


@dataclass(frozen=True)
class News:
    """Findings that a visitor doesn't have.

    Parameters
    ----------
    mark : str
        Up to where they go; opaque.
    whole : bool
        Whether they are all findings, whatever the visitor had.
    found : list of (str, Finding)
        Image ids and what is known of them.
    """

    mark: str
    whole: bool
    found: list[tuple[str, Finding]]


class Findings:
    """Findings by image id, each with the number of its coming; threads may share it."""

    def __init__(self) -> None:
        # Marks of an earlier server mean nothing to this one.
        self._name = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._count = 0
        self._found: dict[str, tuple[int, Finding]] = {}

    def note(self, image: str, finding: Finding) -> None:
        """Take a finding in place of an older one of the same image."""
        with self._lock:
            self._count += 1
            self._found[image] = (self._count, finding)

    def version(self, image: str) -> str | None:
        """Return the version that the finding of an image belongs to; None where there is no finding."""
        with self._lock:
            found = self._found.get(image)
        return found[1].version if found else None

    def known(self, images: Iterable[str]) -> list[Finding]:
        """Return what is known of these images."""
        with self._lock:
            return [self._found[image][1] for image in images if image in self._found]

    def since(self, mark: str, images: Iterable[str]) -> News:
        """Return what came after a mark.

        Parameters
        ----------
        mark : str
            From earlier news; all findings are new to any other text.
        images : iterable of str
            The ids to tell about, in the order of the answer.

        Returns
        -------
        News
            With the mark for the next time.
        """
        name, _, number = mark.partition("-")
        whole = name != self._name or not number.isdecimal()
        after = 0 if whole else int(number)
        with self._lock:
            pairs = [(image, self._found[image]) for image in images if image in self._found]
            count = self._count
        return News(
            f"{self._name}-{count}", whole, [(image, finding) for image, (came, finding) in pairs if came > after]
        )
