"""Write ``network.keras`` and ``answer.npz``: a network and what it predicts, by Keras on JAX.

In an environment with them (``pip install keras jax``): ``python tests/sources/keras_jax/make.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent


def build() -> Any:
    """Layers whose numbers backends compute in ways of their own: uneven padding, strides, resizing, normalisation."""
    import keras  # type: ignore[import-not-found, unused-ignore] # an extra

    layers = keras.layers
    image = keras.Input((9, 14, 3), name="image")
    first = layers.Conv2D(4, 3, padding="same", use_bias=False, name="first")(image)
    first = layers.ReLU(name="relu")(layers.BatchNormalization(name="normal")(first))
    half = layers.Conv2D(5, 3, strides=2, padding="same", activation="swish", name="half")(first)
    deep = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(half)
    up = layers.UpSampling2D(2, interpolation="bilinear", name="up")(deep)
    transposed = layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="transposed")(half)
    joined = layers.Cropping2D(((0, 1), (0, 0)), name="crop")(layers.Concatenate(name="join")([up, transposed]))
    head = layers.Conv2D(3, 1, activation="softmax", name="head")
    return keras.Model(image, head(layers.Concatenate(name="all")([joined, first])), name="made_by_jax")


def main() -> None:
    """Write both files."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras  # type: ignore[import-not-found, unused-ignore] # an extra

    keras.utils.set_random_seed(3)
    model, random = build(), np.random.default_rng(3)
    for weight in model.weights:
        # As after training: statistics that aren't zero and one, biases that aren't zero.
        if weight.path.rpartition("/")[2] != "kernel":
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    image = random.random((9, 14, 3), dtype=np.float32)
    model.save(FOLDER / "network.keras")
    np.savez(FOLDER / "answer.npz", image=image, probabilities=model.predict(image[None], verbose=0)[0])


if __name__ == "__main__":
    main()
