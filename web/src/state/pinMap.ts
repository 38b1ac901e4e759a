/** A pin's map with all that it takes to draw it small. */

import { ApiError, getAttribution, getMask, getPicture, getSuperpixels, getTruth, type AttributionAnswer } from "../api/client";
import type { AttributionRequest, ImageRecord } from "../api/types";
import type { Tell } from "../api/work";
import { hasNegative, largestMagnitude } from "../colour/scale";
import { fittingSize, shrinkToGrey, shrinkValues } from "../colour/shrink";
import { outline } from "../geometry/outline";
import { fits, includesKind, needsTruth, regionPixels, SUPERPIXELS, toWire } from "../geometry/region";
import type { Size } from "../geometry/view";
import type { Pin } from "./compareChoice";

/** Longest side of a pin's picture and map, in pixels. */
const LONGEST = 256;

export interface PinMap {
  width: number;
  height: number;
  /** Row-major, raw. */
  values: Float32Array;
  /** Largest magnitude of the whole map, which the small one may miss. */
  limit: number;
  signed: boolean;
  /** Of the image. */
  size: Size;
  /** The image, small and grey. */
  picture: HTMLCanvasElement;
  /** The outline of the region, in image coordinates. */
  lines: readonly number[];
}

export function pinRequest(pin: Pin): AttributionRequest {
  const { class: name, against, layer, method, score, parameters, region } = pin;
  return { class: name, against, layer, method, score, parameters, region: toWire(region, name) };
}

export function toPinMap({ header, values }: AttributionAnswer, picture: ImageBitmap, size: Size, lines: readonly number[]): PinMap {
  const small = fittingSize(size, LONGEST);
  return {
    ...small,
    values: shrinkValues(values.data, size, small),
    limit: largestMagnitude(values.data),
    signed: header.signed || hasNegative(values.data),
    size,
    picture: shrinkToGrey(picture, LONGEST),
    lines,
  };
}

async function fetchLines(pin: Pin, image: ImageRecord, classIndex: number, signal: AbortSignal): Promise<readonly number[]> {
  const size = { width: image.width, height: image.height };
  const [mask, truth, patches] = await Promise.all([
    getMask(image.id, signal),
    needsTruth(pin.region) ? getTruth(image.id, signal) : null,
    includesKind(pin.region, "superpixel") ? getSuperpixels(image.id, SUPERPIXELS, signal) : null,
  ]);
  const scene = { size, mask: mask.data, truth: truth?.data ?? null, patches: patches?.data ?? null };
  return outline(regionPixels(pin.region, classIndex, scene), size);
}

/** Ask a pin's question again, as a link has to. */
export async function fetchPin(pin: Pin, image: ImageRecord | null, classIndex: number, signal: AbortSignal, tell: Tell | null = null): Promise<PinMap> {
  if (image === null) throw new ApiError("no-such-image", "This server doesn’t have the image.", 404);
  const size = { width: image.width, height: image.height };
  if (!fits(pin.region, size)) throw new ApiError("bad-region", "The region lies outside the image.", 422);
  if (needsTruth(pin.region) && !image.has_truth) throw new ApiError("no-truth", "The image has no true mask.", 422);
  const answer = await getAttribution(image.id, pinRequest(pin), signal, tell);
  const [picture, lines] = await Promise.all([getPicture(image.id, signal), fetchLines(pin, image, classIndex, signal)]);
  const map = toPinMap(answer, picture, size, lines);
  picture.close();
  return map;
}
