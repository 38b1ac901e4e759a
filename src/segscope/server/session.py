"""What all visitors of a server share: the model, its images and its predictions."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ..cache import PredictionCache
from ..model import SegmentationModel
from ..prediction import Prediction
from .gallery import Gallery, GalleryImage
from .origin import Origin
from .sameness import Sameness
from .statistics import Statistics
from .summary import Summary, summarize
from .work import Work

__all__ = ["DEFAULT_MEMORY", "Session"]

DEFAULT_MEMORY = 2 * 2**30
"""Bytes of predictions that are kept."""

_KEPT_SUMMARIES = 100_000


class Session:
    """One model over one gallery, with the most recent predictions kept.

    All but :attr:`work` blocks: routes call it by :meth:`Work.on_network` or :meth:`Work.on_pictures`.

    Parameters
    ----------
    model : SegmentationModel
        The network that answers.
    gallery : Gallery
        The images.
    memory : int
        Bytes that kept predictions may take.
    origin : Origin, optional
        Where model and images come from; they came as objects otherwise.

    Raises
    ------
    InvalidInput
        When the bound isn't positive.
    """

    def __init__(
        self, model: SegmentationModel, gallery: Gallery, *, memory: int = DEFAULT_MEMORY, origin: Origin | None = None
    ) -> None:
        self.model = model
        self.gallery = gallery
        self.origin = origin or Origin()
        self.work = Work()
        self.predictions = PredictionCache(memory)
        self.sameness = Sameness()
        self.statistics = Statistics(model, gallery, self.work, self.measure)
        self._summaries: OrderedDict[tuple[str, str], Summary] = OrderedDict()
        self._lock = threading.Lock()

    def prediction(self, image: GalleryImage) -> Prediction:
        """Return the prediction of an image, made now if it isn't kept.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        Prediction
            Of that image.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` does.
        """
        return self.predictions.get((image.id, image.version), lambda: self._predict(image))

    def summary(self, image: GalleryImage) -> Summary:
        """Return what a prediction says in numbers; kept longer than the prediction itself.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        Summary
            Of that image.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` does.
        """
        key = (image.id, image.version)
        with self._lock:
            found = self._summaries.get(key)
        if found is None:
            found = summarize(self.prediction(image))
            with self._lock:
                self._summaries[key] = found
                if len(self._summaries) > _KEPT_SUMMARIES:
                    self._summaries.popitem(last=False)
        return found

    def measure(self, image: GalleryImage) -> Summary:
        """Return what a prediction of the files of now says in numbers, without keeping it.

        Parameters
        ----------
        image : GalleryImage
            The image.

        Returns
        -------
        Summary
            Of that image.

        Raises
        ------
        SegscopeError
            As :meth:`segscope.SegmentationModel.predict` does.
        """
        with self._predict(image) as prediction:
            return summarize(prediction)

    def begin(self) -> None:
        """Predict the first image before anyone asks for it: the page opens with it."""
        images = self.gallery.images()
        if images:
            self.work.ahead(lambda: self.summary(images[0]))

    def learn_classes(self) -> None:
        """Predict the first image where the model was given without class names, which the network alone knows."""
        images = self.gallery.images()
        if not self.model.classes and images:
            self.prediction(images[0])

    def close(self) -> None:
        """Drop what waits, and give back the memory of the predictions."""
        self.statistics.close()
        self.work.close()
        self.predictions.clear()

    def _predict(self, image: GalleryImage) -> Prediction:
        return self.model.predict(self.gallery.read(image), truth=self.gallery.truth(image))
