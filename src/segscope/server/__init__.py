"""The explorer's server: an HTTP API over one model and its images, and the page that uses it."""

from __future__ import annotations

from .app import create_app
from .gallery import Gallery
from .origin import Origin

__all__ = ["Gallery", "Origin", "create_app"]
