/** What the compare panel shows as part of the address, and back. */

import { COMPARE_SCALES, COMPARE_VIEWS, INITIAL_COMPARE, INITIAL_METHODS, METHODS_ACROSS, METHOD_SORTS, MOST_PINS, type CompareChoice, type MethodsChoice, type Pin } from "./compareChoice";
import type { ParameterValue } from "../api/types";
import { FAMILIES } from "./families";
import { decodeRegion, encodeRegion } from "./regionText";

const BETWEEN = "~";

/** Names may hold anything; the mark between parts must not be in them. */
function escape(text: string): string {
  return text.replaceAll("%", "%25").replaceAll(BETWEEN, "%7E");
}

function unescape(text: string): string {
  return text.replaceAll("%7E", BETWEEN).replaceAll("%25", "%");
}

export function decodeValue(text: string): ParameterValue {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** A pin as “image~class~layer~method”, and behind it what isn't as it was at first. Two pins with one text are the same. */
export function encodePin(pin: Pin): string {
  const parts = [pin.image, pin.class, pin.layer, pin.method];
  if (pin.region.kind !== "predicted") parts.push(`region.${encodeRegion(pin.region)}`);
  if (pin.against !== null) parts.push(`against.${pin.against}`);
  if (pin.score !== "logit") parts.push(`score.${pin.score}`);
  const names = Object.keys(pin.parameters).sort();
  for (const name of names) parts.push(`method.${name}.${String(pin.parameters[name])}`);
  return parts.map(escape).join(BETWEEN);
}

/** The part of a pin behind a word and a dot, or null. */
function readOption(pin: Pin, option: string): Pin | null {
  const [word, ...rest] = option.split(".");
  const text = rest.join(".");
  if (word === "against") return text === "" ? null : { ...pin, against: text };
  if (word === "score") return text === "probability" ? { ...pin, score: text } : null;
  if (word === "region") {
    const region = decodeRegion(text);
    return region && { ...pin, region };
  }
  if (word !== "method" || rest.length < 2) return null;
  const [name, ...value] = rest;
  return { ...pin, parameters: { ...pin.parameters, [name!]: decodeValue(value.join(".")) } };
}

/** The pin of a text; null where any part of it can't be read, since it would then be another question. */
export function decodePin(text: string): Pin | null {
  const [image, name, layer, method, ...options] = text.split(BETWEEN).map(unescape);
  if (!image || !name || !layer || !method) return null;
  let pin: Pin | null = { image, class: name, layer, method, against: null, parameters: {}, score: "logit", region: { kind: "predicted" } };
  for (const option of options) pin &&= readOption(pin, option);
  return pin;
}

function decodeNames(text: string | null): readonly string[] | null {
  if (text === null) return null;
  const names = text.split(BETWEEN).map(unescape).filter((name) => name !== "");
  return names.length > 0 ? [...new Set(names)] : null;
}

function encodeNames(names: readonly string[]): string {
  return names.map(escape).join(BETWEEN);
}

function encodeMethods(query: URLSearchParams, methods: MethodsChoice): void {
  if (methods.names !== null) query.set("methods", encodeNames(methods.names));
  if (methods.across !== INITIAL_METHODS.across) query.set("methods-across", methods.across);
  if (methods.layers !== null) query.set("methods-layers", encodeNames(methods.layers));
  if (methods.at !== null) query.set("methods-at", methods.at);
  if (methods.sort !== INITIAL_METHODS.sort) query.set("methods-sort", methods.sort);
  if (methods.family !== null) query.set("methods-family", methods.family);
  if (methods.find !== "") query.set("methods-find", methods.find);
  if (methods.among !== null) query.set("methods-among", methods.among);
}

function decodeMethods(query: URLSearchParams): MethodsChoice {
  return {
    names: decodeNames(query.get("methods")),
    across: METHODS_ACROSS.find((across) => across === query.get("methods-across")) ?? INITIAL_METHODS.across,
    layers: decodeNames(query.get("methods-layers")),
    at: query.get("methods-at") || null,
    sort: METHOD_SORTS.find((sort) => sort === query.get("methods-sort")) ?? INITIAL_METHODS.sort,
    family: FAMILIES.find((family) => family === query.get("methods-family")) ?? null,
    find: query.get("methods-find") ?? "",
    among: query.get("methods-among") || null,
  };
}

function decodePins(texts: readonly string[]): readonly Pin[] {
  const pins = new Map<string, Pin>();
  for (const text of texts) {
    const pin = decodePin(text);
    if (pin !== null && pins.size < MOST_PINS) pins.set(encodePin(pin), pin);
  }
  return [...pins.values()];
}

export function encodeCompare(query: URLSearchParams, compare: CompareChoice): void {
  if (compare.view !== INITIAL_COMPARE.view) query.set("compare", compare.view);
  if (compare.scale !== INITIAL_COMPARE.scale) query.set("compare-scale", compare.scale);
  if (compare.beside !== null) query.set("beside", compare.beside);
  if (compare.rows !== null) query.set("rows", encodeNames(compare.rows));
  if (compare.columns !== null) query.set("columns", encodeNames(compare.columns));
  encodeMethods(query, compare.methods);
  for (const pin of compare.pins) query.append("pin", encodePin(pin));
}

export function decodeCompare(query: URLSearchParams): CompareChoice {
  return {
    view: COMPARE_VIEWS.find((view) => view === query.get("compare")) ?? INITIAL_COMPARE.view,
    scale: COMPARE_SCALES.find((scale) => scale === query.get("compare-scale")) ?? INITIAL_COMPARE.scale,
    pins: decodePins(query.getAll("pin")),
    beside: query.get("beside") || null,
    rows: decodeNames(query.get("rows")),
    columns: decodeNames(query.get("columns")),
    methods: decodeMethods(query),
  };
}
