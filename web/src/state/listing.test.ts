import { describe, expect, it } from "vitest";
import type { ImageRecord, ImageStatistics, ModelClass } from "../api/types";
import { INITIAL_LIST, type ListChoice } from "./listChoice";
import { knownList, listImages } from "./listing";

const classes: ModelClass[] = ["ground", "ring.2"].map((name, index) => ({ index, name, color: "#000000" }));
const image = (id: string, has_truth = true): ImageRecord => ({ id, name: `${id}.JPG`, width: 4, height: 4, has_truth });
const row = (id: string, confidence: number, ring: number | null, share: number, truth: number | null = share): ImageStatistics => ({
  id,
  confidence,
  shares: [1 - share, share],
  iou: truth === null ? null : [0.5, ring],
  mean_iou: truth === null ? null : ring,
  true_shares: truth === null ? null : [1 - truth, truth],
});

const images = [image("a"), image("b"), image("c", false), image("d"), image("e"), image("f")];
/** c has no mask, d has no ring in either mask, f isn't measured yet. */
const findings = new Map(
  [row("a", 0.9, 0.8, 0.1), row("b", 0.7, 0, 0, 0.2), row("c", 0.8, null, 0.3, null), row("d", 0.6, null, 0), row("e", 0.7, 0.4, 0.2, 0)].map((entry) => [entry.id, entry]),
);
const listed = (part: Partial<ListChoice>): string => listImages(images, findings, { ...INITIAL_LIST, ...part }, classes).map(({ id }) => id).join("");

describe("listImages", () => {
  it("leaves the images as they came where nothing was chosen", () => {
    expect(listImages(images, findings, INITIAL_LIST, classes)).toBe(images);
  });

  it.each<[Partial<ListChoice>, string]>([
    [{ descending: true }, "fedcba"],
    [{ sort: "iou.ring.2" }, "beacdf"],
    [{ sort: "iou.ring.2", descending: true }, "aebcdf"],
    [{ sort: "iou" }, "beacdf"],
    [{ sort: "confidence" }, "dbecaf"],
    [{ sort: "confidence", descending: true }, "acbedf"],
    [{ sort: "share.ring.2" }, "ceabdf"],
    [{ sort: "share.ring.2", descending: false }, "bdaecf"],
  ])("sorts by %o: %s, what has no number last", (part, order) => {
    expect(listed(part)).toBe(order);
  });

  it.each<[Partial<ListChoice>, string]>([
    [{ name: " A.jpg " }, "a"],
    [{ name: "nothing" }, ""],
    [{ mask: "with" }, "abdef"],
    [{ mask: "without" }, "c"],
    [{ predicted: "ring.2" }, "ace"],
    [{ truth: "ring.2" }, "ab"],
    [{ ranges: [{ number: "confidence", low: 0.7, high: 0.8 }] }, "bce"],
    [{ ranges: [{ number: "iou.ring.2", low: null, high: 0.4 }] }, "be"],
    [{ ranges: [{ number: "iou.ring.2", low: 0.1, high: null }, { number: "share.ring.2", low: null, high: 0.1 }] }, "a"],
    [{ predicted: "ring.2", mask: "with", sort: "confidence" }, "ea"],
  ])("keeps those that pass %o: %s", (part, order) => {
    expect(listed(part)).toBe(order);
  });

  it("sorts ten thousand without a loss", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => image(String(i)));
    const numbers = new Map(many.map(({ id }, i) => [id, row(id, ((i * 7919) % 10_000) / 10_000, null, 0)]));
    const sorted = listImages(many, numbers, { ...INITIAL_LIST, sort: "confidence" }, classes);
    expect(sorted).toHaveLength(10_000);
    expect(sorted.every(({ id }, i) => i === 0 || numbers.get(sorted[i - 1]!.id)!.confidence <= numbers.get(id)!.confidence)).toBe(true);
  });
});

describe("knownList", () => {
  it("drops what names a class that isn't there", () => {
    const strange: ListChoice = {
      ...INITIAL_LIST,
      sort: "iou.nobody",
      predicted: "nobody",
      truth: "ground",
      ranges: [{ number: "share.nobody", low: 0, high: 1 }, { number: "iou.ring.2", low: 0, high: 1 }],
      plot: { x: "iou", y: "iou.nobody" },
    };
    expect(knownList(strange, classes)).toEqual({ ...INITIAL_LIST, truth: "ground", ranges: [{ number: "iou.ring.2", low: 0, high: 1 }] });
  });
});
