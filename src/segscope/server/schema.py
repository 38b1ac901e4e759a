"""Prints the API's schema, for the page's types: ``python -m segscope.server.schema > web/openapi.json``."""

from __future__ import annotations

import json
import sys

from torch import nn

from ..model import SegmentationModel
from .app import create_app
from .gallery import Gallery

__all__ = ["schema_text"]


def schema_text() -> str:
    """Return the OpenAPI schema as JSON; it is the same for every model.

    Returns
    -------
    str
        Indented, sorted, with a newline at the end.
    """
    app = create_app(SegmentationModel(nn.Conv2d(3, 2, 1)), Gallery())
    schema = app.openapi()
    # The version is left out, so that the types change only when the API does.
    schema["info"]["version"] = "0"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
