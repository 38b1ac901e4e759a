/** What the panel can show, loaded together once it is open. */

export { default as LayerGrid } from "./LayerGrid.svelte";
export { default as MethodsGrid } from "./MethodsGrid.svelte";
export { default as Pins } from "./Pins.svelte";
export { default as TwoLayers } from "./TwoLayers.svelte";
