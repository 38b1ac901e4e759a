/** What the compare panel shows, as far as a visitor chose it. */

import type { Family, ParameterValue } from "../api/types";
import type { Region } from "../geometry/region";
import type { Score } from "./choice";

export const COMPARE_VIEWS = ["pins", "layers", "grid", "methods"] as const;
/** A scale for each map, for each row of a grid, or for all. */
export const COMPARE_SCALES = ["own", "row", "shared"] as const;

/** What the methods are set against: the columns of their grid. */
export const METHODS_ACROSS = ["layers", "classes"] as const;
/** By what methods are sorted: as the server lists them, or by one of the numbers that each map has. */
export const METHOD_SORTS = ["name", "agreement", "share", "time"] as const;

export type MethodsAcross = (typeof METHODS_ACROSS)[number];
export type MethodSort = (typeof METHOD_SORTS)[number];
export type CompareView = (typeof COMPARE_VIEWS)[number];
export type CompareScale = (typeof COMPARE_SCALES)[number];

/** Pins beyond this many are refused: a link has to stay one that can be sent. */
export const MOST_PINS = 24;

/** A whole question, kept as it was asked. */
export interface Pin {
  image: string;
  class: string;
  against: string | null;
  layer: string;
  method: string;
  /** Only those that differ from the method's defaults. */
  parameters: Readonly<Record<string, ParameterValue>>;
  score: Score;
  region: Region;
}

export interface CompareChoice {
  view: CompareView;
  scale: CompareScale;
  pins: readonly Pin[];
  /** The second layer; null: one before the question's. */
  beside: string | null;
  /** Classes of the grid; null: those predicted in the image. */
  rows: readonly string[] | null;
  /** Layers of the grid; null: a handful spread over the network. */
  columns: readonly string[] | null;
  methods: MethodsChoice;
}

/** The grid of methods. */
export interface MethodsChoice {
  /** null: the quick ones. */
  names: readonly string[] | null;
  across: MethodsAcross;
  /** Layers, where they are the columns; null: a few spread over the network. */
  layers: readonly string[] | null;
  /** The layer where classes are the columns; null: the network's usual one. */
  at: string | null;
  sort: MethodSort;
  /** Only these are shown. */
  family: Family | null;
  find: string;
  /** The column whose maps' agreement is shown; null: the main view's, or the last one. */
  among: string | null;
}

export const INITIAL_METHODS: MethodsChoice = { names: null, across: "layers", layers: null, at: null, sort: "name", family: null, find: "", among: null };
export const INITIAL_COMPARE: CompareChoice = { view: "pins", scale: "own", pins: [], beside: null, rows: null, columns: null, methods: INITIAL_METHODS };

/** The entries with one of them moved by a number of places, as far as there are any. */
export function moved<T>(entries: readonly T[], from: number, by: number): readonly T[] {
  const to = Math.min(Math.max(from + by, 0), entries.length - 1);
  const entry = entries[from];
  if (entry === undefined || to === from) return entries;
  const rest = entries.filter((_, i) => i !== from);
  return [...rest.slice(0, to), entry, ...rest.slice(to)];
}
