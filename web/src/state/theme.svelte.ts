export type Theme = "light" | "dark";

const KEY = "segscope.theme";

/** Light or dark: what the visitor chose, else what the system prefers. */
export class ThemeState {
  readonly #system = window.matchMedia("(prefers-color-scheme: dark)");
  #dark = $state(this.#system.matches);
  #chosen = $state<Theme | null>(null);
  readonly current = $derived<Theme>(this.#chosen ?? (this.#dark ? "dark" : "light"));

  constructor() {
    // Storage may be forbidden, as in a sandboxed frame of a notebook.
    try {
      const stored = localStorage.getItem(KEY);
      if (stored === "light" || stored === "dark") this.#chosen = stored;
    } catch {
      this.#chosen = null;
    }
    this.#system.addEventListener("change", (event) => (this.#dark = event.matches));
  }

  toggle(): void {
    this.#chosen = this.current === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, this.#chosen);
    } catch {
      // The theme then lasts as long as the page.
    }
  }
}
