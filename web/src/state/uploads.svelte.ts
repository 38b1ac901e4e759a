import { createContext } from "svelte";
import { ApiError, postImage } from "../api/client";
import type { Explorer } from "./explorer.svelte";

/** Photographs on their way to the server, and what went wrong with the last one. */
export class Uploads {
  readonly #explorer: Explorer;
  sending = $state(false);
  error = $state.raw<ApiError | null>(null);

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  async send(file: File): Promise<void> {
    this.error = null;
    this.sending = true;
    try {
      this.#explorer.addImage(await postImage(file));
    } catch (error) {
      this.error = error instanceof ApiError ? error : new ApiError("unexpected", String(error), 0);
    } finally {
      this.sending = false;
    }
  }

  dismiss(): void {
    this.error = null;
  }
}

export const [getUploads, setUploads] = createContext<Uploads>();
