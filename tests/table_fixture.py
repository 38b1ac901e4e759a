"""Numbers by which the page's sums are tested: ``python -m tests.table_fixture > web/src/table/fixture.json``."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch

from segscope.geometry import Geometry
from segscope.target import Question

__all__ = ["fixture_text"]

CASES: dict[str, tuple[Geometry, tuple[int, int], tuple[int, int]]] = {
    "grown": (Geometry((7, 11), (14, 22), (0, 0), (14, 22)), (4, 6), (3, 5)),
    "padded": (Geometry((15, 23), (10, 16), (3, 0), (16, 16)), (4, 4), (8, 8)),
    "padded and grown": (Geometry((9, 6), (16, 11), (0, 2), (16, 16)), (16, 16), (5, 5)),
    "shrunk": (Geometry((9, 7), (24, 20), (0, 0), (24, 20)), (24, 20), (24, 20)),
    "unchanged": (Geometry.identity((8, 10)), (8, 10), (8, 10)),
}
CHANNELS, CLASSES = 3, 2


def fixture_text() -> str:
    """Return the cases as JSON, worked out by the library's own geometry and by automatic differentiation."""
    cases = [_case(name, *sizes) for name, sizes in CASES.items()]
    return json.dumps(cases, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n"


def _case(name: str, geometry: Geometry, logits: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
    generator = np.random.default_rng(len(name))
    table = generator.normal(size=(CHANNELS, CLASSES, *logits)).round(2)
    activation = generator.normal(size=(CHANNELS, *size)).round(2)
    values = generator.normal(size=(CLASSES, *logits)).round(2)
    pixels = (generator.random(geometry.image) < 0.15).astype(np.uint8)
    shares, score = _shares(geometry, pixels, values)
    weights = np.einsum("ckrs,rs->ck", table, shares)
    found = {
        against: np.einsum("c,crs->rs", weights[:, 1] - (weights[:, 0] if against else 0), activation)
        for against in (False, True)
    }
    return {
        "name": name,
        "description": {
            "layer": name,
            "method": "grad-cam",
            "kind": "weights",
            "image": geometry.image,
            "content": geometry.content,
            "offset": geometry.offset,
            "input": geometry.input,
            "logits": logits,
            "map": size,
            "way": "forward",
            "reason": "",
        },
        "table": table.flatten().tolist(),
        "activation": activation.flatten().tolist(),
        "logits": values.flatten().tolist(),
        "pixels": pixels.flatten().tolist(),
        "shares": _rounded(shares),
        "score": round(score, 5),
        "rectified": _rounded(_in_image(geometry, np.maximum(found[False], 0))),
        "contrast": _rounded(_in_image(geometry, found[True])),
    }


def _shares(geometry: Geometry, pixels: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> tuple[Any, float]:
    """Return the derivative of the mean logit of class 1 by each logit, and that mean."""
    placed = geometry.to_input(torch.from_numpy(pixels).double())
    question = Question.over(placed, class_index=1, against_index=None, kind="logit")
    logits = torch.from_numpy(values)[None].requires_grad_()
    score = question.score(logits)
    gradient = torch.autograd.grad(score.sum(), logits)[0]
    return gradient[0, 1].numpy(), float(score.detach())


def _in_image(geometry: Geometry, map_: np.ndarray[Any, Any]) -> Any:
    return geometry.to_image(torch.from_numpy(map_)).numpy()


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in np.ravel(values)]


if __name__ == "__main__":
    sys.stdout.write(fixture_text())
