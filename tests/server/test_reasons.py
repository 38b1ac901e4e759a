"""The map of reasons on the wire."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from .conftest import Client, error_of


def test_reasons_are_those_of_the_library(client: Client, ids: dict[str, str]) -> None:
    session = client.app.state.session
    image = session.gallery.find(ids["image2.png"])
    expected = session.prediction(image).reasons("1", clusters=4)
    response = client.post(f"/api/images/{image.id}/reasons", json={"layer": "1", "clusters": 4})
    assert response.status_code == 200, response.text
    with np.load(BytesIO(response.content), allow_pickle=False) as file:
        groups, outliers = file["groups"], file["outliers"]
        description = json.loads(file["description.json"])
    assert groups.dtype == outliers.dtype == np.uint8
    assert groups.shape == outliers.shape == (image.height, image.width)
    assert np.array_equal(groups, expected.at_image(expected.labels))
    assert np.array_equal(outliers.astype(bool), expected.at_image(expected.outliers))
    assert len(description["groups"]) == expected.clusters
    assert sum(group["share"] for group in description["groups"]) == pytest.approx(1)
    assert description["outlier_share"] == pytest.approx(outliers.mean())
    for label, group in enumerate(description["groups"]):
        assert group["share"] == pytest.approx((groups == label).mean())
        found = [(channel["channel"], channel["more"]) for channel in group["channels"]]
        assert found == list(expected.top_channels(label))
        assert list(group["classes"].items()) == list(expected.class_shares(label).items())
    assert (
        client.post(f"/api/images/{image.id}/reasons", json={"layer": "1", "clusters": 4}).content == response.content
    )


@pytest.mark.parametrize(
    ("question", "code"),
    [({"layer": "nowhere"}, "unknown-name"), ({"layer": "0", "clusters": 0}, "invalid-input"), ({}, "invalid-input")],
)
def test_reasons_that_there_cannot_be_are_refused(
    client: Client, ids: dict[str, str], question: dict[str, Any], code: str
) -> None:
    response = client.post(f"/api/images/{ids['image2.png']}/reasons", json=question)
    assert response.status_code == 422
    assert error_of(response)["code"] == code
