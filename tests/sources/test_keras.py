"""Keras 3 networks on the torch backend: functional, sequential, subclassed, nested; from a file or a function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")

from segscope import InvalidInput, Region, SegmentationModel
from segscope.sources.keras import adapted
from tests.matrix import Cell, check
from tests.sources.keras_jax.make import FOLDER as OF_JAX

keras = pytest.importorskip("keras")
if keras.config.backend() != "torch":
    pytest.skip("Keras runs on another backend here", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
L = keras.layers


def functional(size: int | None = 32) -> Any:
    image = keras.Input((size, size, 3))
    first = L.Conv2D(6, 3, padding="same", activation="relu", name="first")(image)
    down = L.MaxPooling2D(name="pool")(first)
    deep = L.Conv2D(8, 3, padding="same", name="deep")(down)
    deep = L.ReLU(name="relu")(L.BatchNormalization(name="normal")(deep))
    up = L.UpSampling2D(interpolation="bilinear", name="up")(deep)
    joined = L.Concatenate(name="join")([up, first])
    return keras.Model(image, L.Conv2D(4, 1, activation="softmax", name="head")(joined), name="unet")


def sequential() -> Any:
    layers = [
        keras.Input((32, 32, 3)),
        L.Conv2D(6, 3, padding="same", activation="relu", name="first"),
        L.DepthwiseConv2D(3, padding="same", name="depthwise"),
        L.Activation("gelu", name="gelu"),
        L.Conv2DTranspose(4, 2, strides=2, name="head"),
    ]
    return keras.Sequential(layers, name="line")


def nested() -> Any:
    image = keras.Input((32, 32, 3))
    backbone = keras.Sequential(
        [L.Conv2D(6, 3, padding="same", name="a"), L.ReLU(name="b"), L.Conv2D(8, 3, padding="same", name="c")],
        name="backbone",
    )
    return keras.Model(image, L.Conv2D(1, 1, activation="sigmoid", name="head")(backbone(image)), name="nested")


@keras.saving.register_keras_serializable("segscope_tests")
class Subclassed(keras.Model):  # type: ignore[misc, name-defined] # Keras has no annotations here
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.first = L.Conv2D(6, 3, padding="same", activation="relu", name="one")
        self.second = L.Conv2D(6, 3, padding="same", activation="relu", name="two")
        self.head = L.Conv2D(4, 1, name="three")

    def call(self, images: Any) -> Any:
        return self.head(self.second(self.first(images)))


def subclassed() -> Any:
    model = Subclassed(name="own")
    model(np.zeros((1, 32, 32, 3), dtype=np.float32))
    return model


def first_channels(raw: torch.Tensor) -> torch.Tensor:
    return raw.permute(0, 3, 1, 2)


def log_odds(raw: torch.Tensor) -> torch.Tensor:
    return torch.logit(raw.permute(0, 3, 1, 2), eps=1e-7)


def log(raw: torch.Tensor) -> torch.Tensor:
    return raw.permute(0, 3, 1, 2).log()


KINDS = {
    "functional": (functional, log),
    "sequential": (sequential, first_channels),
    "nested": (nested, log_odds),
    "subclassed": (subclassed, first_channels),
}


def seeded(build: Any) -> Any:
    keras.utils.set_random_seed(0)
    return build()


@pytest.mark.parametrize("kind", KINDS)
def test_file_works(kind: str, tmp_path: Path) -> None:
    build, read = KINDS[kind]
    seeded(build).save(tmp_path / "model.keras")
    check(Cell(kind, lambda: SegmentationModel.load(f"keras:{tmp_path / 'model.keras'}"), read, size=(32, 32)))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("functional", {"first", "pool", "deep", "normal", "relu", "up", "join", "head"}),
        ("nested", {"backbone/a", "backbone/b", "backbone/c", "head"}),
        ("subclassed", {"one", "two", "three"}),
    ],
)
def test_layers_have_their_keras_names(kind: str, names: set[str], tmp_path: Path) -> None:
    seeded(KINDS[kind][0]).save(tmp_path / "model.keras")
    model = SegmentationModel.load(f"keras:{tmp_path / 'model.keras'}")
    with model.predict(torch.rand(3, 32, 32)) as prediction:
        assert names <= set(prediction.layers)
        assert not any("_" in name for name in prediction.layers)


def test_layers_may_be_called_anything() -> None:
    names = ["half", "type", "forward", "model", "named_modules", "weight", "(model)"]
    layers = [L.Conv2D(4, 1, name=name) for name in names]
    layers.insert(1, L.ReLU(name="T"))
    model = adapted(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
    with model.predict(torch.rand(3, 8, 8)) as prediction:
        assert set(prediction.layers) >= {*names[:-1], "T"}
        assert prediction.explain(0, Region.everywhere(), layer="half", method="occlusion").layer == "half"


def test_mask_equals_kerass_own(tmp_path: Path) -> None:
    network = seeded(functional)
    network.save(tmp_path / "model.keras")
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    with SegmentationModel.load(f"keras:{tmp_path / 'model.keras'}").predict(image) as prediction:
        theirs = network.predict(image[None].astype("float32") / 255, verbose=0)[0]
        np.testing.assert_array_equal(prediction.mask, theirs.argmax(-1))
        np.testing.assert_allclose(prediction.probabilities, theirs.transpose(2, 0, 1), atol=1e-5)


def test_input_size_and_scale_come_from_the_model(tmp_path: Path, image: np.ndarray) -> None:
    inner = seeded(lambda: functional(None))
    given = keras.Input((None, None, 3))
    keras.Model(given, inner(L.Rescaling(1 / 255, name="scale")(given))).save(tmp_path / "free.keras")
    free = SegmentationModel.load(f"keras:{tmp_path / 'free.keras'}")
    assert (free.preprocess.size, free.preprocess.std, free.preprocess.channels) == (None, (1 / 255), 3)
    seeded(functional).save(tmp_path / "fixed.keras")
    fixed = SegmentationModel.load(f"keras:{tmp_path / 'fixed.keras'}")
    assert (fixed.preprocess.size, fixed.preprocess.std) == ((32, 32), 1)
    with fixed.predict(image) as prediction:
        assert prediction.mask.shape == (40, 56)


def test_weights_of_ones_own(tmp_path: Path) -> None:
    first, second = seeded(functional), functional()
    first.save(tmp_path / "model.keras")
    second.save_weights(tmp_path / "w.weights.h5")
    model = SegmentationModel.load(f"keras:{tmp_path / 'model.keras'}", weights=tmp_path / "w.weights.h5")
    image = torch.rand(3, 32, 32)
    theirs = second(image.permute(1, 2, 0)[None]).detach()
    np.testing.assert_allclose(model.predict(image).logits, theirs.log()[0].permute(2, 0, 1), atol=1e-5)


def test_function_that_returns_a_keras_model(tmp_path: Path) -> None:
    (tmp_path / "kerasnet.py").write_text(
        "import keras\n\ndef make():\n"
        "    layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, padding='same', name='first'),\n"
        "              keras.layers.Conv2D(3, 1, name='head')]\n"
        "    return keras.Sequential(layers)\n"
    )
    with SegmentationModel.load(f"{tmp_path / 'kerasnet.py'}:make").predict(torch.rand(3, 16, 16)) as prediction:
        assert set(prediction.layers) >= {"first", "head"}


@pytest.mark.parametrize(
    ("source", "weights"),
    [
        (f"keras:{OF_JAX / 'network.keras'}", None),
        (f"{OF_JAX / 'make.py'}:build", OF_JAX / "network.keras"),
    ],
)
def test_predictions_equal_those_of_the_backend_that_saved_the_file(source: str, weights: Path | None) -> None:
    answer = np.load(OF_JAX / "answer.npz")
    model = SegmentationModel.load(source, weights=weights)
    with model.predict(torch.tensor(answer["image"]).permute(2, 0, 1)) as prediction:
        np.testing.assert_allclose(prediction.probabilities, answer["probabilities"].transpose(2, 0, 1), atol=1e-5)
        assert {"first", "half", "up", "transposed", "all"} <= set(prediction.layers)


def loaded_elsewhere(source: str, **environment: str) -> str:
    """What a fresh Python says that loads a source."""
    code = f"import sys\nfrom segscope.cli import main\nsys.exit(main(['layers', '--model', {source!r}]))"
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("source", [f"keras:{OF_JAX / 'network.keras'}", f"{OF_JAX / 'make.py'}:build"])
def test_backend(source: str) -> None:
    assert "transposed" in loaded_elsewhere(source)
    said = loaded_elsewhere(source, KERAS_BACKEND="jax")
    assert "Keras runs on 'jax' here, and segscope needs 'torch': set the environment variable KERAS_BACKEND" in said
    assert "Traceback" not in said


def test_keras_that_runs_on_another_backend_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    for source in (f"keras:{OF_JAX / 'network.keras'}", f"{OF_JAX / 'make.py'}:build"):
        with pytest.raises(InvalidInput, match="Keras runs on 'tensorflow' here, and segscope needs 'torch'"):
            SegmentationModel.load(source)


def test_choice_of_the_backend_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND")
    SegmentationModel.load(f"keras:{OF_JAX / 'network.keras'}")
    assert "KERAS_BACKEND" not in os.environ


def test_folder_that_holds_operations_only(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is a folder, as model.export writes .* model.save\('model.keras'\)"):
        SegmentationModel.load(f"keras:{tmp_path}")


def test_weights_without_a_model(tmp_path: Path) -> None:
    seeded(functional).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(InvalidInput, match="holds weights and no model; write a function that builds the model"):
        SegmentationModel.load(f"keras:{tmp_path / 'w.weights.h5'}")


def test_weights_of_another_network(tmp_path: Path) -> None:
    seeded(functional).save(tmp_path / "model.keras")
    for name in ("w.weights.h5", "w.pt"):
        seeded(subclassed).save_weights(tmp_path / "w.weights.h5")
        (tmp_path / "w.pt").write_bytes(b"nothing")
        with pytest.raises(InvalidInput, match=f"The weights '.*{name}' don't fit the network of .* Expected a"):
            SegmentationModel.load(f"keras:{tmp_path / 'model.keras'}", weights=tmp_path / name)


def test_class_of_ones_own_is_told(tmp_path: Path) -> None:
    class Unknown(Subclassed):
        pass

    model = Unknown(name="own")
    model(np.zeros((1, 32, 32, 3), dtype=np.float32))
    model.save(tmp_path / "model.keras")
    with pytest.raises(InvalidInput, match="can't be loaded: .* write a function that builds or loads the model"):
        SegmentationModel.load(f"keras:{tmp_path / 'model.keras'}")


def test_model_with_two_inputs(tmp_path: Path) -> None:
    inputs = [keras.Input((16, 16, 3)), keras.Input((16, 16, 1))]
    keras.Model(inputs, L.Conv2D(3, 1)(L.Concatenate()(inputs)), name="pair").save(tmp_path / "pair.keras")
    with pytest.raises(InvalidInput, match="'pair' takes 2 inputs; expected one, the image"):
        SegmentationModel.load(f"keras:{tmp_path / 'pair.keras'}")


def test_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x.keras").write_text("nothing")
    with pytest.raises(InvalidInput, match="can't be loaded: .* write a function"):
        SegmentationModel.load(f"keras:{tmp_path / 'x.keras'}")
    with pytest.raises(InvalidInput, match="isn't there; expected a file"):
        SegmentationModel.load(f"keras:{tmp_path / 'y.keras'}")
