import { decodeChoice, encodeChoice } from "./address";
import type { Choice } from "./choice";
import type { Explorer } from "./explorer.svelte";

/** Browsers refuse more than a few address changes a second; zooming makes dozens. */
const DELAY = 150;

/** Steps that the browser's back button takes back; all else only renews the present entry. */
function step(choice: Choice): string {
  const { image, class: name, against, layer, method, region } = choice;
  return JSON.stringify([image, name, against, layer, method, region]);
}

function isComplete(choice: Choice): boolean {
  return choice.image !== null && choice.class !== null && choice.layer !== null && choice.method !== null;
}

/** Keep the address and the explorer's choice the same, both ways. Call it while a component is being set up. */
export function linkAddress(explorer: Explorer): void {
  let written: Choice | null = null;

  $effect(() => {
    const next = explorer.resolved;
    const timer = setTimeout(() => {
      if (!isComplete(next)) return;
      const address = `#${encodeChoice(next)}`;
      const isStep = written !== null && step(written) !== step(next);
      written = next;
      if (address === window.location.hash) return;
      window.history[isStep ? "pushState" : "replaceState"](null, "", address);
    }, DELAY);
    return () => clearTimeout(timer);
  });

  $effect(() => {
    const read = (): void => {
      explorer.choice = decodeChoice(window.location.hash);
      written = explorer.resolved;
    };
    window.addEventListener("popstate", read);
    return () => window.removeEventListener("popstate", read);
  });
}

/** The address of the present view, also before it has been written, and without the visitor's own token. */
export function currentAddress(explorer: Explorer): string {
  const address = new URL(window.location.href);
  address.searchParams.delete("token");
  address.hash = "";
  return `${address.href.replace(/#$/, "")}#${encodeChoice(explorer.resolved)}`;
}
