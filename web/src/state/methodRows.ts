/** Rows of the grid of methods: which are shown, in which order, and what is computed first. */

import type { Family, MethodSpec } from "../api/types";
import type { MethodSort } from "./compareChoice";

/** What is known of one map. */
export interface MapNumbers {
  /** Rank correlation with the main view's map. */
  agreement: number | null;
  /** Part of the positive importance that lies on the class's pixels. */
  share: number | null;
  seconds: number;
}

/** The methods of a family, or all, whose name or title has all the words. */
export function findMethods(methods: readonly MethodSpec[], family: Family | null, find: string): readonly MethodSpec[] {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  return methods.filter(({ family: own, name, title }) => (family === null || own === family) && words.every((word) => `${name} ${title}`.toLowerCase().includes(word)));
}

const NUMBERS: Readonly<Record<Exclude<MethodSort, "name">, (map: MapNumbers) => number | null>> = {
  agreement: ({ agreement }) => agreement,
  share: ({ share }) => share,
  time: ({ seconds }) => -seconds,
};

/** The number that a row is sorted by, the larger the further up: that of its best map. Null where none is known. */
export function sortNumber(maps: readonly MapNumbers[], sort: MethodSort): number | null {
  if (sort === "name") return null;
  const known = maps.map(NUMBERS[sort]).filter((value) => value !== null);
  return known.length > 0 ? Math.max(...known) : null;
}

/** The rows by their number, what isn't known yet last; all else in the order it came. */
export function sortRows<T>(rows: readonly T[], numberOf: (row: T) => number | null): readonly T[] {
  return rows
    .map((row) => ({ row, number: numberOf(row) ?? -Infinity }))
    .sort((one, other) => (one.number === other.number ? 0 : other.number - one.number))
    .map(({ row }) => row);
}

/** Quick ones first; of the slow ones, those of the column that matters most. */
export function firstThingsFirst<T extends { quick: boolean; column: string }>(cells: readonly T[], column: string | null): readonly T[] {
  const place = (cell: T): number => (cell.quick ? 0 : cell.column === column ? 1 : 2);
  return [0, 1, 2].flatMap((wanted) => cells.filter((cell) => place(cell) === wanted));
}
