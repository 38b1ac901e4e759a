"""Methods whose package isn't installed say which to install, wherever they are asked."""

from __future__ import annotations

import sys

import pytest

from segscope import MissingExtra, Prediction, Region
from segscope.methods import all_methods


@pytest.fixture
def no_zennit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {"zennit", *(name for name in sys.modules if name.partition(".")[0] == "zennit")}:
        monkeypatch.setitem(sys.modules, name, None)


def test_missing_package_is_named(prediction: Prediction, no_zennit: None) -> None:
    assert "lrp" in all_methods()
    with pytest.raises(MissingExtra, match=r"needs zennit.*pip install 'segscope\[lrp\]'\."):
        prediction.explain(1, Region.everywhere(), method="lrp")
    with pytest.raises(MissingExtra, match=r"pip install 'segscope\[lrp\]'"):
        prediction.explain_all(method="lrp", region=Region.everywhere())
