import { untrack } from "svelte";
import { ApiError } from "../api/client";
import type { Tell, Told } from "../api/work";

export type Status = "idle" | "loading" | "ready" | "error";

/** Fetches something, and may tell how far that is. */
export type Fetcher<T> = (signal: AbortSignal, tell: Tell) => Promise<T>;

/** A wait of this many milliseconds is shown. */
const SLOW = 500;

/**
 * One thing fetched from the server. The latest request wins; an older one is cancelled and never shown. The last few that
 * came are kept, as many as asked for, so that going back to one costs nothing.
 */
export class Resource<T> {
  status = $state<Status>("idle");
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** True while a request takes longer than half a second. */
  slow = $state(false);
  /** How far the server is; null where it doesn't tell. */
  told = $state.raw<Told | null>(null);

  #key = $state<string | null>(null);
  #controller: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fetcher: Fetcher<T> | null = null;
  readonly #room: number;
  readonly #kept = new Map<string, T>();

  constructor(room = 0) {
    this.#room = room;
  }

  /** The value if it belongs to the key: between a new selection and its request, an old value is still here. */
  of(key: string | null): T | null {
    return key !== null && key === this.#key ? this.value : null;
  }

  /** Fetch what belongs to the key, unless that was done already; after a failure only retry() asks again. */
  load(key: string, fetcher: Fetcher<T>): void {
    // An effect that loads must not run again because of what loading changes.
    untrack(() => {
      if (key === this.#key) return;
      this.#stop();
      this.#key = key;
      this.#fetcher = fetcher;
      const kept = this.#kept.get(key);
      if (kept === undefined) return void this.#run(key, fetcher);
      this.#keep(key, kept);
      this.value = kept;
      this.error = null;
      this.status = "ready";
    });
  }

  /** Tell whether what belongs to the key came not long ago. */
  has(key: string): boolean {
    return this.#kept.has(key);
  }

  /** Keep nothing of what came before. */
  forget(): void {
    this.#kept.clear();
  }

  retry(): void {
    if (this.#fetcher === null || this.#key === null) return;
    this.#stop();
    void this.#run(this.#key, this.#fetcher);
  }

  cancel(): void {
    this.#stop();
    this.value = null;
    this.error = new ApiError("cancelled", "You cancelled this question.", 0);
    this.status = "error";
  }

  clear(): void {
    this.#stop();
    this.#key = null;
    this.#fetcher = null;
    this.value = null;
    this.error = null;
    this.status = "idle";
  }

  /** Cancel and forget what belongs to any other key. */
  keepOnly(key: string): void {
    untrack(() => {
      if (key !== this.#key) this.clear();
    });
  }

  #keep(key: string, value: T): void {
    this.#kept.delete(key);
    this.#kept.set(key, value);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#room && oldest !== undefined) this.#kept.delete(oldest);
  }

  async #run(key: string, fetcher: Fetcher<T>): Promise<void> {
    const controller = new AbortController();
    this.#controller = controller;
    this.value = null;
    this.error = null;
    this.status = "loading";
    this.#timer = setTimeout(() => (this.slow = true), SLOW);
    try {
      const value = await fetcher(controller.signal, (told) => {
        if (this.#controller === controller && this.status === "loading") this.told = told;
      });
      if (controller.signal.aborted) return;
      this.#keep(key, value);
      this.value = value;
      this.status = "ready";
    } catch (error) {
      if (controller.signal.aborted) return;
      this.error = error instanceof ApiError ? error : new ApiError("unexpected", String(error), 0);
      this.status = "error";
    }
    this.#settle();
  }

  #stop(): void {
    this.#controller?.abort();
    this.#controller = null;
    this.#settle();
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.slow = false;
    this.told = null;
  }
}
