/** A region's place as numbers that can be typed. */

import type { Region } from "../../geometry/region";
import type { Size } from "../../geometry/view";

export interface PlaceField {
  name: string;
  value: number;
  minimum: number;
  maximum: number;
}

/** The numbers of a pixel or box with their limits in the image; none for other regions. */
export function placeFields(region: Region, size: Size): PlaceField[] {
  if (region.kind === "pixel") {
    return [
      { name: "row", value: region.row, minimum: 0, maximum: size.height - 1 },
      { name: "column", value: region.column, minimum: 0, maximum: size.width - 1 },
    ];
  }
  if (region.kind !== "box") return [];
  return [
    { name: "top", value: region.top, minimum: 0, maximum: region.bottom - 1 },
    { name: "left", value: region.left, minimum: 0, maximum: region.right - 1 },
    { name: "bottom", value: region.bottom, minimum: region.top + 1, maximum: size.height },
    { name: "right", value: region.right, minimum: region.left + 1, maximum: size.width },
  ];
}

export function withField(region: Region, name: string, value: number): Region {
  return { ...region, [name]: value };
}
