import { SvelteMap } from "svelte/reactivity";

/** Pictures that are fetched at a time. */
const AT_ONCE = 4;

/** Small pictures of the images in sight and of those that were lately, as addresses for `<img>`. */
export class Thumbnails {
  readonly #fetch: (id: string, signal: AbortSignal) => Promise<Blob>;
  readonly #most: number;
  /** Those used last are at the end. An empty address: the image can't be shown. */
  readonly #addresses = new SvelteMap<string, string>();
  readonly #coming = new Map<string, AbortController>();
  #wanted: readonly string[] = [];

  constructor(fetch: (id: string, signal: AbortSignal) => Promise<Blob>, most: number) {
    this.#fetch = fetch;
    this.#most = most;
  }

  /** The address of an image's small picture; null while it isn't there. */
  of(id: string): string | null {
    return this.#addresses.get(id) || null;
  }

  /** Fetch these, the most urgent first, and no others any more. */
  want(ids: readonly string[]): void {
    const wanted = new Set(ids);
    this.#wanted = ids;
    for (const [id, controller] of this.#coming) {
      if (!wanted.has(id)) {
        controller.abort();
        this.#coming.delete(id);
      }
    }
    this.#pump();
  }

  #pump(): void {
    for (const id of this.#wanted) {
      if (this.#coming.size >= AT_ONCE) return;
      if (!this.#addresses.has(id) && !this.#coming.has(id)) void this.#load(id);
    }
  }

  async #load(id: string): Promise<void> {
    const controller = new AbortController();
    this.#coming.set(id, controller);
    let address = "";
    try {
      const picture = await this.#fetch(id, controller.signal);
      if (!controller.signal.aborted) address = URL.createObjectURL(picture);
    } catch {
      // An image that can't be read says so when it is chosen.
    }
    if (controller.signal.aborted) return;
    this.#coming.delete(id);
    this.#addresses.set(id, address);
    this.#forget();
    this.#pump();
  }

  #forget(): void {
    const wanted = new Set(this.#wanted);
    for (const [id, address] of this.#addresses) {
      if (this.#addresses.size <= this.#most) return;
      if (wanted.has(id)) continue;
      URL.revokeObjectURL(address);
      this.#addresses.delete(id);
    }
  }
}
