import { createContext } from "svelte";
import { getArchive, getScript } from "../api/client";
import type { AttributionRequest, Script } from "../api/types";
import { fileName, stem } from "../figure/fileName";
import { saveFile } from "../figure/render";
import type { Explorer } from "./explorer.svelte";
import { Resource } from "./resource.svelte";

/** What can be taken away from the present view, and whether the dialog for it is open. */
export class Exporting {
  readonly #explorer: Explorer;
  open = $state(false);
  /** What was saved last, to be read aloud. */
  said = $state("");
  readonly script = new Resource<Script>();
  readonly archive = new Resource<Blob>();
  /** The question whose numbers are to be saved as soon as they are here. */
  #awaited = $state.raw<string | null>(null);

  /** The question that the shown map answers. */
  readonly key = $derived.by<string | null>(() => (this.open && this.#explorer.answer !== null ? this.#explorer.shownKey : null));
  /** True while the numbers are on their way. */
  readonly fetching = $derived(this.#awaited !== null && this.archive.status === "loading");

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  show(): void {
    this.said = "";
    this.open = true;
  }

  /** Fetch whatever the open dialog shows. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { key } = this;
      if (key === null) this.script.clear();
      else this.script.load(key, (signal) => getScript(...asked(key), signal));
    });
    $effect(() => {
      const blob = this.archive.of(this.key);
      if (blob === null || this.#awaited === null || this.#awaited !== this.key) return;
      this.#awaited = null;
      const name = this.fileName("npz");
      saveFile(blob, name);
      this.said = `Saved ${name}.`;
    });
  }

  saveNumbers(): void {
    const { key } = this;
    if (key === null) return;
    this.#awaited = key;
    if (this.archive.error !== null) this.archive.clear();
    this.archive.load(key, (signal) => getArchive(...asked(key), signal));
  }

  cancelNumbers(): void {
    this.#awaited = null;
    this.archive.clear();
  }

  fileName(ending: string): string {
    const { image, class: entry, against, layer, method, shownRegion } = this.#explorer;
    const words = [stem(image?.name ?? ""), entry?.name ?? "", against ? `against ${against.name}` : "", layer ?? "", method?.name ?? ""];
    return fileName([...words, shownRegion.kind === "predicted" ? "" : shownRegion.kind], ending);
  }
}

/** The image and the question of a key. */
function asked(key: string): [id: string, question: AttributionRequest] {
  const space = key.indexOf(" ");
  return [key.slice(0, space), JSON.parse(key.slice(space + 1)) as AttributionRequest];
}

export const [getExporting, setExporting] = createContext<Exporting>();
