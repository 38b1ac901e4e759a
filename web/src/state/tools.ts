/** What a click or a stroke on a picture does. */

import type { Region } from "../geometry/region";

export const TOOLS = ["point", "pixel", "box", "lasso", "brush", "segment", "superpixel"] as const;

/** `point` selects the class that is predicted at a pixel; all others draw the region. */
export type Tool = (typeof TOOLS)[number];

/** The tools that turn one pixel into an area, and so can follow the pointer. */
export type PointTool = "pixel" | "segment" | "superpixel";

export function isPointTool(tool: Tool): tool is PointTool {
  return tool === "pixel" || tool === "segment" || tool === "superpixel";
}

/** The tool that goes with a region where none was chosen. */
export function toolOf(region: Region): Tool {
  switch (region.kind) {
    case "pixel":
    case "box":
    case "segment":
    case "superpixel":
      return region.kind;
    case "polygon":
      return "lasso";
    case "mask":
    case "combined":
      return "brush";
    default:
      return "point";
  }
}
