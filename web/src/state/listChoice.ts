/** How the list of images is sorted and filtered: a part of the address. */

import { isNumberKey, isQuality, type NumberKey } from "./numbers";

export const MASKS = ["any", "with", "without"] as const;

export type Sort = "name" | NumberKey;

/** Both ends belong to it; null: open. */
export interface NumberRange {
  number: NumberKey;
  low: number | null;
  high: number | null;
}

export interface ListChoice {
  sort: Sort;
  /** null: what is worth looking at comes first. */
  descending: boolean | null;
  /** Part of the file's name. */
  name: string;
  mask: (typeof MASKS)[number];
  /** A class that was predicted somewhere in the image. */
  predicted: string | null;
  /** A class that truly is somewhere in the image. */
  truth: string | null;
  ranges: readonly NumberRange[];
  /** The axes of the overview; null while it is closed. */
  plot: { x: NumberKey; y: NumberKey } | null;
}

export const INITIAL_LIST: ListChoice = { sort: "name", descending: null, name: "", mask: "any", predicted: null, truth: null, ranges: [], plot: null };

/** Without a word about it: names from A, what went badly first, large shares first. */
export function isDescending({ sort, descending }: ListChoice): boolean {
  return descending ?? (sort !== "name" && !isQuality(sort));
}

export function isFiltered(list: ListChoice): boolean {
  return list.name.trim() !== "" || list.mask !== "any" || list.predicted !== null || list.truth !== null || list.ranges.length > 0;
}

/** The ranges with this one in place of the number's former one; an open range takes it away. */
export function withRange(ranges: readonly NumberRange[], range: NumberRange): NumberRange[] {
  const others = ranges.filter((entry) => entry.number !== range.number);
  return range.low === null && range.high === null ? others : [...others, range];
}

const RANGE = /^(.+):([^:]*)\.\.([^:]*)$/;

function encodeEnd(value: number | null): string {
  return value === null ? "" : String(Number(value.toPrecision(5)));
}

/** A number, null where there is no text, undefined where it is no number. */
function decodeEnd(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function decodeRange(text: string): NumberRange | null {
  const [, number, first, last] = RANGE.exec(text) ?? [];
  if (number === undefined || !isNumberKey(number)) return null;
  const [low, high] = [decodeEnd(first ?? ""), decodeEnd(last ?? "")];
  if (low === undefined || high === undefined || (low === null && high === null)) return null;
  return { number, low, high };
}

export function encodeList(query: URLSearchParams, list: ListChoice): void {
  if (list.sort !== INITIAL_LIST.sort) query.set("list.sort", list.sort);
  if (list.descending !== null) query.set("list.order", list.descending ? "down" : "up");
  if (list.name !== "") query.set("list.name", list.name);
  if (list.mask !== "any") query.set("list.mask", list.mask);
  if (list.predicted !== null) query.set("list.predicted", list.predicted);
  if (list.truth !== null) query.set("list.true", list.truth);
  for (const { number, low, high } of list.ranges) query.append("list.range", `${number}:${encodeEnd(low)}..${encodeEnd(high)}`);
  if (list.plot !== null) {
    query.set("list.x", list.plot.x);
    query.set("list.y", list.plot.y);
  }
}

export function decodeList(query: URLSearchParams): ListChoice {
  const [sort, order, x, y] = ["list.sort", "list.order", "list.x", "list.y"].map((name) => query.get(name)) as [string | null, string | null, string | null, string | null];
  const ranges = query.getAll("list.range").map(decodeRange);
  return {
    sort: isNumberKey(sort) ? sort : "name",
    descending: order === "down" ? true : order === "up" ? false : null,
    name: query.get("list.name") ?? "",
    mask: MASKS.find((mask) => mask === query.get("list.mask")) ?? "any",
    predicted: query.get("list.predicted"),
    truth: query.get("list.true"),
    ranges: ranges.reduce<NumberRange[]>((all, range) => (range ? withRange(all, range) : all), []),
    plot: isNumberKey(x) && isNumberKey(y) ? { x, y } : null,
  };
}
