import { untrack } from "svelte";

/** Milliseconds from one reading to the next while a value hurries: numbers that change more often can't be read. */
export const PACE = 100;

/** A value for text. While it follows the pointer it is read ten times a second: new text has the page laid out anew, which would hold up the map. */
export class Paced<T> {
  readonly #read: () => T;
  readonly #hurries: () => boolean;
  #last = $state.raw() as T;
  #hurried = false;
  #timer: ReturnType<typeof setTimeout> | null = null;

  readonly value = $derived.by<T>(() => (this.#hurries() ? this.#last : this.#read()));

  constructor(read: () => T, hurries: () => boolean) {
    this.#read = read;
    this.#hurries = hurries;
    this.#last = untrack(read);
  }

  /** Keep up, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const value = this.#read();
      if (this.#hurried) this.#timer ??= setTimeout(() => this.#catchUp(), PACE);
      else this.#last = value;
      this.#hurried = this.#hurries();
    });
  }

  #catchUp(): void {
    this.#timer = null;
    this.#last = this.#read();
  }
}
