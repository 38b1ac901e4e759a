"""Requests made up from the schema never fail the server, and every failure has the one body."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import segscope
from segscope.server import Gallery, create_app
from segscope.server.security import Access

from .test_routes import OPERATIONS

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis isn't installed")
# Its way into the app warns about the package that it uses for that.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def published(model: segscope.SegmentationModel, gallery: Gallery) -> Any:
    # It comes under a host name of its own.
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(model, gallery, access=Access(hosts=())))


def test_requests_from_the_schema_never_fail_the_server(published: Any, ids: dict[str, str]) -> None:
    answered: Counter[str] = Counter()

    def send(case: Any) -> None:
        # Made-up ids never exist, so that about every second request gets one that does.
        if "image_id" in (case.path_parameters or {}) and len(str(case.path_parameters["image_id"])) % 2:
            case.path_parameters["image_id"] = ids["image2.png"]
        response = case.call()
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert set(response.json()) == {"error"}
            assert set(response.json()["error"]) == {"code", "message"}
        answered[f"{case.method} {case.path}"] += 1

    for result in published.get_all_operations():
        attempt = given(case=result.ok().as_strategy())(send)
        settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))(attempt)()
    assert len(answered) == len(OPERATIONS)
