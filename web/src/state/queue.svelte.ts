import { untrack } from "svelte";
import { SvelteMap } from "svelte/reactivity";
import { ApiError } from "../api/client";
import type { Tell, Told } from "../api/work";
import type { Fetcher } from "./resource.svelte";

export interface Job<T> {
  key: string;
  fetch: Fetcher<T>;
}

/** Whether nothing may be asked for at present, and what becomes of what is under way: it may be brought to its end. */
export type Hold = "none" | "finish" | "drop";

export type Outcome<T> = { value: T; error: null } | { value: null; error: ApiError };

/** A wait of this many milliseconds is shown. */
const SLOW = 500;

/** Many things fetched one after another, kept as long as they are wanted. */
export class Queue<T> {
  readonly #outcomes = new SvelteMap<string, Outcome<T>>();
  #jobs = $state.raw<readonly Job<T>[]>([]);
  #hold: Hold = "drop";
  #controller: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What is asked for at this moment. */
  running = $state<string | null>(null);
  /** True once the queue has been at work for half a second. */
  slow = $state(false);
  /** How far the server is with what is asked for; null where it doesn't tell. */
  told = $state.raw<Told | null>(null);

  readonly total = $derived(this.#jobs.length);
  readonly done = $derived(this.#jobs.filter(({ key }) => this.#outcomes.has(key)).length);
  readonly cancelled = $derived(this.#jobs.some(({ key }) => this.#outcomes.get(key)?.error?.code === "cancelled"));

  of(key: string): Outcome<T> | null {
    return this.#outcomes.get(key) ?? null;
  }

  /** Have just these answered, in this order. While held, nothing new is asked. */
  want(jobs: readonly Job<T>[], hold: Hold = "none"): void {
    // An effect that wants something must not run again because of what comes of it.
    untrack(() => {
      const keys = new Set(jobs.map(({ key }) => key));
      this.#jobs = jobs;
      this.#hold = hold;
      for (const key of [...this.#outcomes.keys()]) if (!keys.has(key)) this.#outcomes.delete(key);
      if (this.running !== null && (hold === "drop" || !keys.has(this.running))) this.#stop();
      void this.#run();
    });
  }

  /** Take an answer that is there already. */
  put(key: string, value: T): void {
    untrack(() => {
      this.#outcomes.set(key, { value, error: null });
      if (this.running === key) this.#stop();
      void this.#run();
    });
  }

  /** Ask again for what failed or was cancelled; for one thing, or for all that was cancelled. */
  retry(key: string | null = null): void {
    for (const [entry, { error }] of [...this.#outcomes]) {
      if (key === null ? error?.code === "cancelled" : entry === key) this.#outcomes.delete(entry);
    }
    void this.#run();
  }

  /** Ask for nothing more that isn't answered yet. */
  cancel(): void {
    this.#stop();
    const error = new ApiError("cancelled", "Cancelled.", 0);
    for (const { key } of this.#jobs) if (!this.#outcomes.has(key)) this.#outcomes.set(key, { value: null, error });
  }

  async #run(): Promise<void> {
    while (this.#controller === null) {
      const job = this.#hold === "none" ? this.#jobs.find(({ key }) => !this.#outcomes.has(key)) : undefined;
      if (job === undefined) return this.#rest();
      const controller = new AbortController();
      this.#controller = controller;
      this.running = job.key;
      this.#timer ??= setTimeout(() => (this.slow = true), SLOW);
      const outcome = await settle(job, controller.signal, (told) => {
        if (this.#controller === controller) this.told = told;
      });
      if (controller.signal.aborted) return;
      this.told = null;
      this.#controller = null;
      this.#outcomes.set(job.key, outcome);
    }
  }

  #stop(): void {
    this.#controller?.abort();
    this.#controller = null;
    this.#rest();
  }

  #rest(): void {
    this.running = null;
    this.told = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.slow = false;
  }
}

async function settle<T>(job: Job<T>, signal: AbortSignal, tell: Tell): Promise<Outcome<T>> {
  try {
    return { value: await job.fetch(signal, tell), error: null };
  } catch (error) {
    return { value: null, error: error instanceof ApiError ? error : new ApiError("unexpected", String(error), 0) };
  }
}
