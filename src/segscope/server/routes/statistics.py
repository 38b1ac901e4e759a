"""The numbers of all images together."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..schemas import ImageStatistics, StatisticsOverview
from ..statistics import Overview
from ..store import Row
from .shared import SessionOf

__all__ = ["router"]

router = APIRouter(tags=["images"])


@router.get("/statistics", summary="Where the network works, and where it doesn't")
async def get_statistics(request: Request, session: SessionOf) -> StatisticsOverview:
    """Return what is known by now of every image; the first call has the rest worked out in the background."""
    overview: Overview = await session.work.on_pictures(request, session.statistics.overview)
    rows = [_describe(image, row) for image, row in overview.rows]
    return StatisticsOverview(total=overview.total, done=overview.done, failed=overview.failed, rows=rows)


def _describe(image: str, row: Row) -> ImageStatistics:
    known = [iou for iou in row.iou or () if iou is not None]
    mean = sum(known) / len(known) if known else None
    return ImageStatistics(id=image, confidence=row.confidence, shares=row.shares, iou=row.iou, mean_iou=mean)
