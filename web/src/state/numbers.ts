/** The numbers that an image is sorted, filtered and drawn by. */

import type { ImageStatistics, ModelClass } from "../api/types";

/** Mean IoU, confidence, or a class's IoU or predicted share, by the class's name. */
export type NumberKey = "iou" | "confidence" | `iou.${string}` | `share.${string}`;

export function isNumberKey(text: string | null): text is NumberKey {
  return text !== null && (text === "iou" || text === "confidence" || /^(iou|share)\../.test(text));
}

/** The name of the class that the number is about; null for those about the whole image. */
export function classOf(key: NumberKey): string | null {
  const [kind, ...name] = key.split(".");
  return kind === key ? null : name.join(".");
}

/** Whether the number says how well it went, so that low ones are those to look at. */
export function isQuality(key: NumberKey): boolean {
  return !key.startsWith("share.");
}

export function needsMask(key: NumberKey): boolean {
  return key.startsWith("iou");
}

export type Reader = (row: ImageStatistics | undefined) => number | null;

/** How to read the number off an image's row; a class that the model doesn't have has no numbers. */
export function readerOf(key: NumberKey, classes: readonly ModelClass[]): Reader {
  if (key === "confidence") return (row) => row?.confidence ?? null;
  if (key === "iou") return (row) => row?.mean_iou ?? null;
  const index = classes.find((entry) => entry.name === classOf(key))?.index;
  if (index === undefined) return () => null;
  return key.startsWith("iou.") ? (row) => row?.iou?.[index] ?? null : (row) => row?.shares[index] ?? null;
}

export function numberName(key: NumberKey): string {
  if (key === "iou") return "Mean IoU";
  if (key === "confidence") return "Confidence";
  return `${classOf(key)} ${key.startsWith("iou.") ? "IoU" : "share"}`;
}

/** Shares in percent, the others with two digits. */
export function formatNumber(key: NumberKey, value: number | null): string {
  if (value === null) return "–";
  if (!key.startsWith("share.")) return value.toFixed(2);
  return `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
}

export interface NumberOption {
  value: NumberKey;
  label: string;
  group: string;
}

/** All numbers that images can have, grouped for a menu; those that need a true mask only where there is one. */
export function numberOptions(classes: readonly ModelClass[], masks: boolean): NumberOption[] {
  const option = (value: NumberKey, group: string): NumberOption => ({ value, label: numberName(value), group });
  return [
    ...(masks ? [option("iou", "Whole image")] : []),
    option("confidence", "Whole image"),
    ...(masks ? classes.map(({ name }) => option(`iou.${name}`, "Agreement with the true mask")) : []),
    ...classes.map(({ name }) => option(`share.${name}`, "Share of the predicted mask")),
  ];
}
