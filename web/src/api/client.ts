/** The server's routes, each one function; every failure is an ApiError. */

import { parseNpy, type NpyArray } from "./npy";
import { parseNpz } from "./npz";
import { followed, type Tell } from "./work";
import type {
  AttributionHeader,
  AttributionRequest,
  ErrorBody,
  ImageList,
  ImageRecord,
  LayersDescription,
  LayersRequest,
  Model,
  NetworkGraph,
  Prediction,
  ReasonsDescription,
  ReasonsRequest,
  SamenessFinding,
  Script,
  Statistics,
  TableRequest,
  WorkProgress,
} from "./types";

export class ApiError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status: number) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
  }
}

/** Relative to the page, so that a path in front of it does no harm. */
const ROOT = "./api";

function imageAddress(id: string, resource: string): string {
  return `${ROOT}/images/${encodeURIComponent(id)}/${resource}`;
}

function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== "object" || body === null || !("error" in body)) return false;
  const { error } = body;
  return typeof error === "object" && error !== null && "code" in error && "message" in error;
}

async function failure(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  if (isErrorBody(body)) return new ApiError(body.error.code, body.error.message, response.status);
  return new ApiError("unexpected-answer", `The server answered with status ${response.status}. Its log says more.`, response.status);
}

/** Ask the server; a cancelled request rejects with an AbortError, all else that fails with an ApiError. */
async function request(address: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, init);
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new ApiError("no-connection", "The server doesn't answer. Start it again with “segscope serve”, then retry.", 0);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function getJson<T>(address: string, signal: AbortSignal): Promise<T> {
  const response = await request(address, { signal });
  return (await response.json()) as T;
}

function getFollowed(address: string, signal: AbortSignal, tell: Tell | null): Promise<Response> {
  if (tell === null) return request(address, { signal });
  return followed((work) => request(address, { signal, headers: { "X-Segscope-Work": work } }), getWork, tell, signal);
}

async function getArray(address: string, signal: AbortSignal): Promise<NpyArray> {
  const response = await request(address, { signal });
  return parseNpy(await response.arrayBuffer());
}

export function getModel(signal: AbortSignal): Promise<Model> {
  return getJson(`${ROOT}/model`, signal);
}

export function getImages(signal: AbortSignal): Promise<ImageList> {
  return getJson(`${ROOT}/images`, signal);
}

/** What the network made of an image; `tell` hears how far it is where that takes long. */
export async function getPrediction(id: string, signal: AbortSignal, tell: Tell | null = null): Promise<Prediction> {
  return (await (await getFollowed(imageAddress(id, "prediction"), signal, tell)).json()) as Prediction;
}

/** Class indices H×W; `tell` hears how far the prediction is where that takes long. */
export async function getMask(id: string, signal: AbortSignal, tell: Tell | null = null): Promise<NpyArray> {
  return parseNpy(await (await getFollowed(imageAddress(id, "mask"), signal, tell)).arrayBuffer());
}

/** Class indices H×W as drawn by hand; only where the image's record says that it has them. */
export function getTruth(id: string, signal: AbortSignal): Promise<NpyArray> {
  return getArray(imageAddress(id, "truth"), signal);
}

/** Probability of each pixel's predicted class, H×W bytes: 255 is 1. */
export function getConfidence(id: string, signal: AbortSignal): Promise<NpyArray> {
  return getArray(imageAddress(id, "confidence"), signal);
}

/** The number of each pixel's superpixel, H×W. */
export function getSuperpixels(id: string, count: number, signal: AbortSignal): Promise<NpyArray> {
  return getArray(`${imageAddress(id, "superpixels")}?count=${count}`, signal);
}

export function thumbnailAddress(id: string): string {
  return imageAddress(id, "thumbnail");
}

export async function getThumbnail(id: string, signal: AbortSignal): Promise<Blob> {
  return (await request(thumbnailAddress(id), { signal })).blob();
}

/** The numbers of all images, or those that came after an earlier answer's mark; the server looks again whether files have changed. */
export function getStatistics(since: string, again: boolean, signal: AbortSignal): Promise<Statistics> {
  const query = new URLSearchParams({ ...(since && { since }), ...(again && { again: "true" }) }).toString();
  return getJson(`${ROOT}/statistics${query && `?${query}`}`, signal);
}

/** Have the server stop measuring images, or go on. */
export async function putStatistics(paused: boolean, signal: AbortSignal): Promise<Statistics> {
  const headers = { "Content-Type": "application/json" };
  const response = await request(`${ROOT}/statistics`, { method: "PUT", headers, body: JSON.stringify({ paused }), signal });
  return (await response.json()) as Statistics;
}

/** The image as it is shown, EXIF rotation applied; without bands, in those that the model says. */
export async function getPicture(id: string, signal: AbortSignal, bands: readonly number[] | null = null): Promise<ImageBitmap> {
  const response = await request(imageAddress(id, "picture") + (bands === null ? "" : `?bands=${bands.join(",")}`), { signal });
  return createImageBitmap(await response.blob());
}

export interface AttributionAnswer {
  header: AttributionHeader;
  values: NpyArray;
}

function postJson(address: string, body: AttributionRequest | LayersRequest | ReasonsRequest | TableRequest, signal: AbortSignal, work: string | null = null): Promise<Response> {
  const headers = { "Content-Type": "application/json", ...(work !== null && { "X-Segscope-Work": work }) };
  return request(address, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/** How far the server is with a request that was sent under this name. */
export function getWork(name: string, signal: AbortSignal): Promise<WorkProgress> {
  return getJson(`${ROOT}/work/${name}`, signal);
}

/** A map; where it may take long, `tell` hears how far it is. */
export async function getAttribution(id: string, body: AttributionRequest, signal: AbortSignal, tell: Tell | null = null): Promise<AttributionAnswer> {
  const ask = (work: string | null): Promise<Response> => postJson(imageAddress(id, "attribution"), body, signal, work);
  const response = await (tell === null ? ask(null) : followed(ask, getWork, tell, signal));
  const described = response.headers.get("X-Segscope-Attribution");
  if (described === null) throw new ApiError("unexpected-answer", "The server sent a map without saying where it came from.", response.status);
  return { header: JSON.parse(described) as AttributionHeader, values: parseNpy(await response.arrayBuffer()) };
}

/** The map with all its numbers, as an NPZ file. */
export async function getArchive(id: string, body: AttributionRequest, signal: AbortSignal): Promise<Blob> {
  const response = await postJson(imageAddress(id, "archive"), body, signal);
  return response.blob();
}

/** What makes the map again. */
export async function getScript(id: string, body: AttributionRequest, signal: AbortSignal): Promise<Script> {
  const response = await postJson(imageAddress(id, "script"), body, signal);
  return (await response.json()) as Script;
}

/** The image's file as it came. */
export function fileAddress(id: string): string {
  return imageAddress(id, "file");
}

/** Whether every region would get the same map, and what tells regions apart where it does. */
export async function getSameness(id: string, body: AttributionRequest, signal: AbortSignal): Promise<SamenessFinding> {
  const response = await postJson(imageAddress(id, "sameness"), body, signal);
  return (await response.json()) as SamenessFinding;
}

/** All that answers every question at a layer, as an NPZ file; `tell` hears how far it is. */
export async function getTable(id: string, body: TableRequest, signal: AbortSignal, tell: Tell): Promise<ArrayBuffer> {
  const response = await followed((work) => postJson(imageAddress(id, "table"), body, signal, work), getWork, tell, signal);
  return response.arrayBuffer();
}

export interface ReasonsAnswer {
  description: ReasonsDescription;
  /** The number of each pixel's group, H×W. */
  groups: Uint8Array;
  /** 1 where a pixel's reason is far from its segment's, H×W. */
  outliers: Uint8Array;
}

/** Which pixels got their label for like reasons; `tell` hears how far it is. */
export async function getReasons(id: string, body: ReasonsRequest, signal: AbortSignal, tell: Tell): Promise<ReasonsAnswer> {
  const response = await followed((work) => postJson(imageAddress(id, "reasons"), body, signal, work), getWork, tell, signal);
  const { arrays, description } = parseNpz(await response.arrayBuffer());
  const [groups, outliers] = [arrays.get("groups")!.data, arrays.get("outliers")!.data];
  return { description: description as ReasonsDescription, groups: groups as Uint8Array, outliers: outliers as Uint8Array };
}

/** The layers that an image went through, the input first, and which one feeds which. */
export function getGraph(id: string, signal: AbortSignal): Promise<NetworkGraph> {
  return getJson(imageAddress(id, "graph"), signal);
}

export interface LayerMaps {
  description: LayersDescription;
  /** Layer × height × width. */
  values: NpyArray;
}

/** Small maps of all layers, from one backward pass. */
export async function getLayerMaps(id: string, body: LayersRequest, signal: AbortSignal): Promise<LayerMaps> {
  const response = await postJson(imageAddress(id, "layers"), body, signal);
  const { arrays, description } = parseNpz(await response.arrayBuffer());
  return { description: description as LayersDescription, values: arrays.get("maps")! };
}

/** Send one photograph; it lives as long as the server's session. */
export async function postImage(file: File): Promise<ImageRecord> {
  const address = `${ROOT}/images?name=${encodeURIComponent(file.name)}`;
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  const response = await request(address, { method: "POST", headers, body: file });
  return (await response.json()) as ImageRecord;
}
