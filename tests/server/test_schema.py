"""The published schema: the page's copy is current."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segscope.server.schema import schema_text

PAGE_COPY = Path(__file__).parents[2] / "web" / "openapi.json"


@pytest.mark.skipif(not PAGE_COPY.parent.is_dir(), reason="the page's sources aren't here")
def test_copy_of_the_page_is_current() -> None:
    command = "python -m segscope.server.schema > web/openapi.json"
    assert json.loads(PAGE_COPY.read_text(encoding="utf-8")) == json.loads(schema_text()), f"run: {command}"
