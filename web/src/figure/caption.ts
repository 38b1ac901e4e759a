/** What a figure shows, in words. */

import type { AttributionHeader, ParameterValue } from "../api/types";
import { formatValue } from "../colour/scale";
import { describeRegion, type Box, type Region } from "../geometry/region";
import type { Score } from "../state/choice";

export interface Told {
  model: string;
  image: string;
  against: string | null;
  method: string;
  parameters: Readonly<Record<string, ParameterValue>>;
  region: Region;
  score: Score;
  header: Pick<AttributionHeader, "class" | "layer" | "region_pixels" | "score_value">;
  /** The scale's upper end where it is held; null where it is the map's own. */
  bound: number | null;
  /** Importance of a smaller magnitude isn't shown; 0 where all is. */
  least: number;
  /** Where the pictures show a part of the image. */
  part: Box | null;
}

function question({ header, against }: Told): string {
  return against === null ? `Why ${header.class}?` : `Why ${header.class} and not ${against}?`;
}

/** The figure's title. */
export function titleOf(told: Told): string {
  return `${question(told)} ${told.image}`;
}

/** One paragraph on the question and its answer, one on where both come from. */
export function captionOf(told: Told): string[] {
  const { header, method, parameters, region, score, bound, least, part, against } = told;
  const settings = Object.entries(parameters).map(([name, value]) => `${name} = ${String(value)}`);
  const how = settings.length === 0 ? method : `${method} (${settings.join(", ")})`;
  const pixels = `${header.region_pixels} ${header.region_pixels === 1 ? "pixel" : "pixels"}`;
  const kind = `mean ${score}${against === null ? "" : `, ${header.class} minus ${against}`}`;
  const from = [told.model, told.image];
  if (part !== null) from.push(`rows ${part.top} to ${part.bottom - 1}, columns ${part.left} to ${part.right - 1}`);
  from.push(bound === null ? "scale of this map" : `scale held at ${formatValue(bound)}`);
  if (least > 0) from.push(`importance below ${formatValue(least)} hidden`);
  return [
    `${question(told)} ${how} at ${header.layer}, on ${describeRegion(region)} (${pixels}); score ${formatValue(header.score_value)} (${kind}).`,
    `${from.join(" · ")}.`,
  ];
}
