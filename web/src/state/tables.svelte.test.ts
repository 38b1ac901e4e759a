// @vitest-environment jsdom
import { flushSync } from "svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ImageRecord, MethodSpec } from "../api/types";
import type { Answerer } from "../table/answerer";
import { Tables, type Asked } from "./tables.svelte";

const client = vi.hoisted(() => ({ getTable: vi.fn() }));
const closed = vi.hoisted(() => vi.fn());
vi.mock("../api/client", async (original) => ({ ...(await original<typeof import("../api/client")>()), ...client }));
vi.mock("../table/answerer", () => ({
  openTable: async (): Promise<Answerer> => ({
    ask: async ({ pixels }) => (pixels.includes(1) ? { values: new Float32Array(4), score: 2, count: 1, size: [1, 2] } : null),
    close: closed,
  }),
}));

const image = { id: "i", name: "i", width: 2, height: 2, has_truth: false } as ImageRecord;
const method = { name: "grad-cam", tabled: true, signed: false } as MethodSpec;
const classes = [{ index: 0, name: "a", color: "#000000" }, { index: 1, name: "b", color: "#ffffff" }];
const question = { class: "b", against: "a", layer: "l", method: "grad-cam", score: "logit" as const, region: null, parameters: {} };

let asked = $state.raw<Asked>({ image, layer: "l", method, score: "logit", live: false });
let tables: Tables;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  client.getTable.mockReset().mockResolvedValue(new ArrayBuffer(0));
  closed.mockReset();
  asked = { image, layer: "l", method, score: "logit", live: false };
  tables = new Tables(() => asked);
  stop = $effect.root(() => tables.start());
  flushSync();
});

afterEach(() => {
  stop();
  vi.useRealTimers();
});

async function settle(): Promise<void> {
  flushSync();
  await vi.advanceTimersByTimeAsync(1000);
  flushSync();
}

it("builds nothing that nobody wants", async () => {
  await settle();
  expect(tables.status).toBe("off");
  expect(client.getTable).not.toHaveBeenCalled();
});

it("builds a table for live mode, and lets it go afterwards", async () => {
  asked = { ...asked, live: true };
  flushSync();
  expect(tables.status).toBe("building");
  await settle();
  expect(tables.status).toBe("ready");
  asked = { ...asked, live: false };
  await settle();
  expect(tables.status).toBe("off");
  expect(closed).toHaveBeenCalledOnce();
});

it("asks for no layer that is only passed by", async () => {
  tables.toggle();
  flushSync();
  await vi.advanceTimersByTimeAsync(100);
  asked = { ...asked, layer: "next" };
  await settle();
  expect(client.getTable.mock.calls.filter(([, , signal]) => !(signal as AbortSignal).aborted).map(([, body]) => body)).toEqual([{ layer: "next", method: "grad-cam" }]);
});

it("stays cancelled, even before anything was sent, until it is wanted again", async () => {
  asked = { ...asked, live: true };
  flushSync();
  tables.cancel();
  await settle();
  expect(tables.status).toBe("cancelled");
  tables.toggle();
  await settle();
  expect(tables.status).toBe("ready");
});

it.each([
  ["another method", { method: { ...method, tabled: false } }],
  ["probabilities", { score: "probability" }],
  ["no image", { image: null }],
])("has no table for %s", async (_, part) => {
  asked = { ...asked, ...part, live: true };
  await settle();
  expect(tables.status).toBe("unavailable");
});

it("answers what belongs to its layer and method, and nothing else", async () => {
  const pixels = Uint8Array.from([0, 1, 0, 0]);
  expect(await tables.answer(question, pixels, classes)).toBeNull();
  tables.toggle();
  await settle();
  const answer = await tables.answer(question, pixels, classes);
  expect(answer?.header).toMatchObject({ class: "b", layer: "l", signed: false, map_height: 1, map_width: 2, passes: 0, score_value: 2, region_pixels: 1 });
  expect(await tables.answer({ ...question, layer: "other" }, pixels, classes)).toBeNull();
  expect(await tables.answer({ ...question, method: "xgrad-cam" }, pixels, classes)).toBeNull();
  expect(await tables.answer(question, new Uint8Array(4), classes)).toBeNull();
  expect(await tables.answer(question, null, classes)).toBeNull();
  expect((await tables.answer({ ...question, parameters: { relu: false } }, pixels, classes))?.header.signed).toBe(true);
});
