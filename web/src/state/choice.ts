/** Everything a visitor chose: what the address bar holds and a link reproduces. */

import type { ParameterValue } from "../api/types";
import type { DivergingName, SequentialName } from "../colour/maps";
import type { Region } from "../geometry/region";
import type { View } from "../geometry/view";
import { INITIAL_LIST, type ListChoice } from "./listChoice";
import { INITIAL_COMPARE, type CompareChoice } from "./compareChoice";
import type { Tool } from "./tools";

export const SHOWN_MASKS = ["prediction", "truth", "errors", "reasons"] as const;
export const SHOWN_MAPS = ["overlay", "alone"] as const;
export const SCORES = ["logit", "probability"] as const;

/** Of the scale: its upper end is always shown. */
export const MOST_HIDDEN = 0.99;

export type ShownMask = (typeof SHOWN_MASKS)[number];
export type ShownMap = (typeof SHOWN_MAPS)[number];
export type Score = (typeof SCORES)[number];

export interface Choice {
  image: string | null;
  class: string | null;
  against: string | null;
  /** null: where the method is at home. */
  layer: string | null;
  /** null: the first method of the server. */
  method: string | null;
  /** Only those that differ from the method's defaults. */
  parameters: Readonly<Record<string, ParameterValue>>;
  score: Score;
  region: Region;
  /** null: the one that goes with the region. */
  tool: Tool | null;
  /** Explain what is under the pointer as it moves. */
  live: boolean;
  mask: ShownMask;
  map: ShownMap;
  opacity: number;
  sequential: SequentialName;
  diverging: DivergingName;
  /** The scale's upper end where it is held for all maps; null: each map has its own. */
  bound: number | null;
  /** Importance below this part of the scale is hidden. */
  threshold: number;
  /** The bands shown as red, green and blue, or the one shown as grey, counted from 0; null: as the model says. */
  bands: readonly number[] | null;
  /** null: the whole image. */
  view: View | null;
  /** How the list of images is sorted and filtered. */
  list: ListChoice;
  compare: CompareChoice;
}

export const INITIAL: Choice = {
  image: null,
  class: null,
  against: null,
  layer: null,
  method: null,
  parameters: {},
  score: "logit",
  region: { kind: "predicted" },
  tool: null,
  live: false,
  mask: "prediction",
  map: "overlay",
  opacity: 0.6,
  sequential: "inferno",
  diverging: "blue-red",
  bound: null,
  threshold: 0,
  bands: null,
  view: null,
  list: INITIAL_LIST,
  compare: INITIAL_COMPARE,
};
