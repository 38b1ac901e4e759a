import { getTable, type AttributionAnswer } from "../api/client";
import type { AttributionRequest, ImageRecord, MethodSpec, ModelClass } from "../api/types";
import { openTable, type Answerer } from "../table/answerer";
import { Resource } from "./resource.svelte";

/** What the page asks about, as far as a table depends on it. */
export interface Asked {
  image: ImageRecord | null;
  layer: string | null;
  method: MethodSpec | null;
  score: string;
  live: boolean;
}

export type TableStatus = "unavailable" | "off" | "building" | "ready" | "refused" | "failed" | "cancelled";

/** Milliseconds that a layer has to stay chosen before its table is begun: who steps along layers wants none of them. */
const SETTLED = 400;

/** The table of the present layer, from which the page answers every question about its image by itself. */
export class Tables {
  readonly #asked: () => Asked;
  readonly resource = new Resource<Answerer>();
  /** Wanted beside live mode, too. */
  wanted = $state(false);

  /** Null where no table can serve the question. */
  readonly key = $derived.by<string | null>(() => {
    const { image, layer, method, score } = this.#asked();
    if (image === null || layer === null || method === null || !method.tabled || score !== "logit") return null;
    return `${image.id} ${method.name} ${layer}`;
  });
  readonly #wants = $derived.by<boolean>(() => this.wanted || this.#asked().live);
  readonly table = $derived<Answerer | null>(this.resource.of(this.key));
  readonly status = $derived.by<TableStatus>(() => {
    if (this.key === null) return "unavailable";
    if (!this.#wants) return "off";
    if (this.table !== null) return "ready";
    const { error } = this.resource;
    if (error === null) return "building";
    return error.code === "cancelled" ? "cancelled" : error.code === "cannot-explain" ? "refused" : "failed";
  });

  constructor(asked: () => Asked) {
    this.#asked = asked;
  }

  /** Build whatever is wanted, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { key } = this;
      const { image, layer, method } = this.#asked();
      if (key === null || !this.#wants || image === null || layer === null || method === null) return this.resource.clear();
      this.resource.load(key, async (signal, tell) => {
        await new Promise((resolve) => setTimeout(resolve, SETTLED));
        // An aborted request is never sent.
        return openTable(await getTable(image.id, { layer, method: method.name }, signal, tell));
      });
    });
    $effect(() => {
      const table = this.resource.value;
      return () => table?.close();
    });
  }

  toggle(): void {
    if (this.status === "cancelled" || this.status === "failed") return this.resource.retry();
    this.wanted = !this.wanted;
  }

  /** Stop building; live mode goes on by asking the server. */
  cancel(): void {
    this.wanted = false;
    this.resource.cancel();
  }

  /** The answer by the table of the present layer; null where the server has to be asked. */
  async answer(question: AttributionRequest, pixels: Uint8Array | null, classes: readonly ModelClass[]): Promise<AttributionAnswer | null> {
    const { image, layer, method } = this.#asked();
    const { table } = this;
    const index = (name: unknown): number | null => classes.find((entry) => entry.name === name)?.index ?? null;
    const asked = index(question.class);
    if (table === null || image === null || layer === null || pixels === null || asked === null) return null;
    if (question.layer !== layer || question.method !== method?.name) return null;
    const began = performance.now();
    const rectified = question.parameters["relu"] !== false;
    const found = await table.ask({ class: asked, against: index(question.against), pixels, rectified });
    if (found === null) return null;
    const seconds = (performance.now() - began) / 1000;
    return {
      header: {
        class: String(question.class),
        layer,
        method: method.name,
        signed: method.signed || !rectified,
        map_height: found.size[0],
        map_width: found.size[1],
        region_pixels: found.count,
        score_value: found.score,
        milliseconds: seconds * 1000,
        seconds,
        passes: 0,
        measures: {},
      },
      values: { shape: [image.height, image.width], data: found.values },
    };
  }
}
