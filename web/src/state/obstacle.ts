/** Why the present question can't be asked about a class. */

import type { ModelClass } from "../api/types";
import { BELONGING, regionPixels } from "../geometry/region";
import type { Explorer } from "./explorer.svelte";

/** Null where it can be asked, or as long as that isn't known. */
export function obstacle({ against, scene, region, regionPixels: known }: Explorer, entry: ModelClass): string | null {
  if (against === entry) return `${entry.name} can’t be asked about against itself.`;
  if (scene === null || known === null || regionPixels(region, entry.index, scene).includes(1)) return null;
  return `No pixel ${BELONGING[region.kind](entry.name)} in this image.`;
}
