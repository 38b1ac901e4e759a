/** A choice as the text behind the “#” of the page's address, and back. What is as it was at first is left out. */

import type { ParameterValue } from "../api/types";
import { DIVERGING, SEQUENTIAL } from "../colour/maps";
import type { View } from "../geometry/view";
import { decodeList, encodeList } from "./listChoice";
import { decodeCompare, decodeValue, encodeCompare } from "./compareText";
import { decodeRegion, encodeRegion } from "./regionText";
import { TOOLS, toolOf } from "./tools";
import { INITIAL, MOST_HIDDEN, SCORES, SHOWN_MAPS, SHOWN_MASKS, type Choice } from "./choice";

const NAMES = ["image", "class", "against", "layer", "method"] as const;
const PARAMETER_PREFIX = "method.";

function round(value: number): string {
  return String(Number(value.toPrecision(5)));
}

function decodeView(text: string): View | null {
  const [zoom, row, column] = text.split(",").map(Number);
  const valid = zoom !== undefined && row !== undefined && column !== undefined && zoom >= 1 && Number.isFinite(zoom + row + column);
  return valid ? { zoom, row, column } : null;
}

/** One band or three, as “3,2,1”. */
function decodeBands(text: string | null): readonly number[] | null {
  return text !== null && /^\d{1,6}(,\d{1,6},\d{1,6})?$/.test(text) ? text.split(",").map(Number) : null;
}

function oneOf<T extends string>(text: string | null, allowed: readonly T[], otherwise: T): T {
  return allowed.find((candidate) => candidate === text) ?? otherwise;
}

/** A number above zero, or null; `most` caps it. */
function decodeAmount(text: string | null, most: number): number | null {
  const value = Number(text ?? "");
  return text !== null && text !== "" && value > 0 && value < Infinity ? Math.min(value, most) : null;
}

export function encodeChoice(choice: Choice): string {
  const query = new URLSearchParams();
  for (const name of NAMES) {
    const value = choice[name];
    if (value !== null) query.set(name, value);
  }
  for (const [name, value] of Object.entries(choice.parameters)) query.set(PARAMETER_PREFIX + name, String(value));
  for (const name of ["score", "mask", "map", "sequential", "diverging"] as const) {
    if (choice[name] !== INITIAL[name]) query.set(name, choice[name]);
  }
  if (choice.region.kind !== "predicted") query.set("region", encodeRegion(choice.region));
  if (choice.tool !== null && choice.tool !== toolOf(choice.region)) query.set("tool", choice.tool);
  if (choice.live) query.set("live", "true");
  if (choice.opacity !== INITIAL.opacity) query.set("opacity", round(choice.opacity));
  if (choice.bound !== null) query.set("bound", round(choice.bound));
  if (choice.threshold !== INITIAL.threshold) query.set("threshold", round(choice.threshold));
  if (choice.bands !== null) query.set("bands", choice.bands.join(","));
  if (choice.view !== null) query.set("view", [choice.view.zoom, choice.view.row, choice.view.column].map(round).join(","));
  encodeList(query, choice.list);
  encodeCompare(query, choice.compare);
  // These marks are legal there, and a link that can be read is worth more than a strict one.
  return query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";").replaceAll("%7E", "~");
}

export function decodeChoice(text: string): Choice {
  const query = new URLSearchParams(text.replace(/^#/, ""));
  const parameters: Record<string, ParameterValue> = {};
  for (const [name, value] of query) {
    if (name.startsWith(PARAMETER_PREFIX)) parameters[name.slice(PARAMETER_PREFIX.length)] = decodeValue(value);
  }
  return {
    image: query.get("image"),
    class: query.get("class"),
    against: query.get("against"),
    layer: query.get("layer"),
    method: query.get("method"),
    parameters,
    score: oneOf(query.get("score"), SCORES, INITIAL.score),
    region: decodeRegion(query.get("region") ?? "") ?? INITIAL.region,
    tool: TOOLS.find((tool) => tool === query.get("tool")) ?? null,
    live: query.get("live") === "true",
    mask: oneOf(query.get("mask"), SHOWN_MASKS, INITIAL.mask),
    map: oneOf(query.get("map"), SHOWN_MAPS, INITIAL.map),
    opacity: decodeAmount(query.get("opacity"), 1) ?? INITIAL.opacity,
    sequential: oneOf(query.get("sequential"), SEQUENTIAL, INITIAL.sequential),
    diverging: oneOf(query.get("diverging"), DIVERGING, INITIAL.diverging),
    bound: decodeAmount(query.get("bound"), Infinity),
    threshold: decodeAmount(query.get("threshold"), MOST_HIDDEN) ?? INITIAL.threshold,
    bands: decodeBands(query.get("bands")),
    view: decodeView(query.get("view") ?? ""),
    list: decodeList(query),
    compare: decodeCompare(query),
  };
}
