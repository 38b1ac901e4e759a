import { untrack } from "svelte";
import { ApiError } from "../api/client";

interface Wish<T> {
  key: string;
  fetch: (signal: AbortSignal) => Promise<T>;
}

/** Answers to questions that change faster than they are answered: one request at a time, and the latest wish is next. */
export class Latest<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);

  #wanted: Wish<T> | null = null;
  #asked: Wish<T> | null = null;
  #controller: AbortController | null = null;

  /** Ask, now or as soon as the request under way is answered; what was wished in between is never asked. */
  ask(key: string, fetch: (signal: AbortSignal) => Promise<T>): void {
    untrack(() => {
      this.#wanted = { key, fetch };
      if (this.#controller === null) void this.#run();
    });
  }

  /** Want nothing more, and forget what was answered. */
  stop(): void {
    untrack(() => {
      this.#controller?.abort();
      this.#controller = null;
      this.#wanted = this.#asked = null;
      this.value = null;
      this.error = null;
    });
  }

  async #run(): Promise<void> {
    const controller = new AbortController();
    this.#controller = controller;
    while (this.#wanted !== null && this.#wanted.key !== this.#asked?.key) {
      const wish = (this.#asked = this.#wanted);
      try {
        const value = await wish.fetch(controller.signal);
        if (controller.signal.aborted) return;
        this.value = value;
        this.error = null;
      } catch (error) {
        if (controller.signal.aborted) return;
        this.value = null;
        this.error = error instanceof ApiError ? error : new ApiError("unexpected", String(error), 0);
      }
    }
    this.#controller = null;
  }
}
