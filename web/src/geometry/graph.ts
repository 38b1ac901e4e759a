/** The network's data flow, and its modules: nested by the dots and slashes of the layers' names, folded or not. */

import type { Layer } from "../api/types";

export type Edge = readonly [from: string, to: string];

/** A module with at least two layers. */
export interface Module {
  name: string;
  /** Names of its layers, in forward order. */
  layers: readonly string[];
  /** Modules around it, the outermost first. */
  around: readonly string[];
}

export interface Network {
  nodes: readonly Layer[];
  edges: readonly Edge[];
  /** By name, outer ones before those inside them. */
  modules: ReadonlyMap<string, Module>;
  /** Modules around each layer, the outermost first. */
  around: ReadonlyMap<string, readonly string[]>;
}

/** What is drawn as one: a layer, or a folded module, which shows what it puts out. */
export interface Cell {
  id: string;
  layer: Layer;
  /** All layers that it stands for. */
  layers: readonly string[];
  folded: boolean;
  /** Unfolded modules around it, the outermost first. */
  around: readonly string[];
}

export interface FoldedGraph {
  cells: readonly Cell[];
  edges: readonly Edge[];
}

/** What stands between the parts of a name: a dot, or a slash in names from ONNX and Keras. */
const SEPARATOR = /[./]/;

/** “a.b/c” lies in “a” and “a.b”. */
function prefixes(name: string): string[] {
  return [...name.matchAll(/[./]/g)].map(({ index }) => name.slice(0, index)).filter((module) => module !== "");
}

/** The last part of a name. */
export function lastPart(name: string): string {
  return name.split(SEPARATOR).at(-1)!;
}

/** As many of a name's last parts as there is room for, at least one. */
export function endOf(name: string, most: number): string {
  if (name.length <= most) return name;
  const parts = prefixes(name).map((module) => name.slice(module.length + 1));
  const end = parts.find((part) => part.length < most) ?? parts.at(-1);
  return end === undefined ? name : `…${end}`;
}

function isInside(name: string, module: string): boolean {
  return name.startsWith(module) && SEPARATOR.test(name.charAt(module.length));
}

/**
 * Modules around each layer. A module's output bears the name of the outermost module that hands it on unchanged: it is
 * placed where it was made, in the last module inside that has no output of its own.
 */
function placeLayers(names: readonly string[]): Map<string, string[]> {
  const known = new Set(names);
  const places = new Map<string, string[]>();
  names.forEach((name, position) => {
    const own = prefixes(name);
    const before = position > 0 ? names[position - 1]! : "";
    if (isInside(before, name)) {
      const inside = (places.get(before) ?? []).slice(own.length);
      const end = inside.findIndex((module) => module !== name && known.has(module));
      own.push(...(end < 0 ? inside : inside.slice(0, end)));
    }
    places.set(name, own);
  });
  return places;
}

/** Find the modules of a network. One around a single layer, or around all of them, says nothing and is left out. */
export function readNetwork(nodes: readonly Layer[], edges: readonly Edge[]): Network {
  const names = nodes.map((node) => node.name);
  const places = placeLayers(names);
  const layers = new Map<string, string[]>();
  for (const name of names) for (const module of places.get(name)!) layers.set(module, [...(layers.get(module) ?? []), name]);
  const all = names.filter((name) => name !== "input").length;
  const kept = new Set([...layers].filter(([, inside]) => inside.length > 1 && inside.length < all).map(([module]) => module));
  const around = new Map(names.map((name) => [name, places.get(name)!.filter((module) => kept.has(module))]));
  const modules = new Map<string, Module>();
  for (const name of names) {
    around.get(name)!.forEach((module, depth, path) => {
      if (!modules.has(module)) modules.set(module, { name: module, layers: layers.get(module)!, around: path.slice(0, depth) });
    });
  }
  return { nodes, edges, modules, around };
}

/** The network with only the given modules unfolded; one inside a folded module stays folded. */
export function fold(network: Network, unfolded: ReadonlySet<string>): FoldedGraph {
  const byName = new Map(network.nodes.map((node) => [node.name, node]));
  const cellOf = new Map<string, string>();
  const cells = new Map<string, Cell>();
  for (const node of network.nodes) {
    const around = network.around.get(node.name)!;
    const depth = around.findIndex((module) => !unfolded.has(module));
    const module = depth < 0 ? undefined : network.modules.get(around[depth]!);
    // A layer may bear the name of its module.
    const id = module === undefined ? `layer ${node.name}` : `module ${module.name}`;
    cellOf.set(node.name, id);
    if (cells.has(id)) continue;
    const layers = module?.layers ?? [node.name];
    const layer = byName.get(layers.at(-1)!)!;
    cells.set(id, { id, layer, layers, folded: module !== undefined, around: depth < 0 ? around : around.slice(0, depth) });
  }
  const edges = new Map<string, Edge>();
  for (const [from, to] of network.edges) {
    const edge: Edge = [cellOf.get(from)!, cellOf.get(to)!];
    if (edge[0] !== edge[1]) edges.set(edge.join("→"), edge);
  }
  return { cells: [...cells.values()], edges: [...edges.values()] };
}

/** The name under which a folded module is listed, or a layer. */
export function cellName(cell: Cell): string {
  return cell.id.slice(cell.id.indexOf(" ") + 1);
}

/** Unfold level by level while no more than `most` cells are seen: what is shown at first. */
export function firstFolding(network: Network, most: number): Set<string> {
  const unfolded = new Set<string>();
  const depths = new Set([...network.modules.values()].map((module) => module.around.length));
  for (const depth of [...depths].sort((a, b) => a - b)) {
    const next = new Set(unfolded);
    for (const module of network.modules.values()) if (module.around.length === depth) next.add(module.name);
    if (fold(network, next).cells.length > most) break;
    for (const name of next) unfolded.add(name);
  }
  return unfolded;
}

/** What tells a cell from those beside it: its name without the module around it. A bare number gets its type. */
export function shortName(cell: Cell): string {
  const name = cellName(cell);
  const module = cell.around.at(-1);
  const own = module !== undefined && isInside(name, module);
  const inside = own ? name.slice(module.length + 1) : lastPart(name);
  if (!/^\d+(#\d+)?$/.test(inside)) return inside;
  if (!cell.folded) return `${inside} ${cell.layer.type}`;
  return own ? `${lastPart(module)}.${inside}` : name.split(SEPARATOR).slice(-2).join(".");
}
