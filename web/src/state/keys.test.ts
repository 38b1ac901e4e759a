import { describe, expect, it } from "vitest";
import { commandFor, CONTROL_KEYS, graphCommandFor, GRAPH_KEYS, PAGE_KEYS, type Focus } from "./keys";

function press(key: string, focus: Focus = "page", modifiers: Partial<{ ctrlKey: boolean; altKey: boolean; shiftKey: boolean }> = {}): ReturnType<typeof commandFor> {
  return commandFor({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...modifiers }, focus);
}

describe("commandFor", () => {
  it("knows the page's keys", () => {
    expect(press("1")).toEqual({ do: "class", position: 0 });
    expect(press("9")).toEqual({ do: "class", position: 8 });
    expect(press("[")).toEqual({ do: "layer", step: -1 });
    expect(press("ArrowRight")).toEqual({ do: "image", step: 1 });
    expect(press("P")).toEqual({ do: "tool", tool: "pixel" });
    expect(press("l")).toEqual({ do: "tool", tool: "lasso" });
    expect(press(" ")).toEqual({ do: "hide" });
    expect(press("C")).toEqual({ do: "pin" });
    expect(press("?")).toEqual({ do: "help" });
    expect(press("q")).toBeNull();
  });

  it("takes steps back and forth, but not those of a text", () => {
    expect(press("z", "page", { ctrlKey: true })).toEqual({ do: "undo" });
    expect(press("Z", "picture", { ctrlKey: true, shiftKey: true })).toEqual({ do: "redo" });
    expect(press("y", "button", { ctrlKey: true })).toEqual({ do: "redo" });
    expect(press("z", "text", { ctrlKey: true })).toBeNull();
  });

  it("leaves the browser's own keys alone", () => {
    expect(press("1", "page", { ctrlKey: true })).toBeNull();
    expect(press("ArrowLeft", "page", { altKey: true })).toBeNull();
  });

  it("has no key twice, and tells of each", () => {
    for (const lines of [PAGE_KEYS, CONTROL_KEYS, GRAPH_KEYS]) {
      const keys = lines.flatMap(({ commands }) => Object.keys(commands));
      expect(new Set(keys).size).toBe(keys.length);
      expect(new Set(lines.map(({ shown }) => shown)).size).toBe(lines.length);
    }
    for (const { shown, commands } of PAGE_KEYS) {
      for (const key of Object.keys(commands).filter((name) => /^[a-z]$/.test(name))) expect(shown.split(/\s+/)).toContain(key.toUpperCase());
    }
  });

  it("does nothing in a text, nor with a modifier that it doesn't know", () => {
    for (const key of PAGE_KEYS.flatMap(({ commands }) => Object.keys(commands))) {
      expect(press(key, "text")).toBeNull();
      expect(press(key, "page", { ctrlKey: true })?.do ?? null).toBeNull();
      expect(press(key, "page", { altKey: true })).toBeNull();
    }
  });

  it("leaves widgets the keys that they need", () => {
    expect(press("ArrowLeft", "select")).toBeNull();
    expect(press("c", "select")).toBeNull();
    expect(press("]", "select")).toEqual({ do: "layer", step: 1 });
    expect(press(" ", "button")).toBeNull();
    expect(press("ArrowLeft", "picture")).toBeNull();
    expect(press("5", "text")).toBeNull();
  });
});

describe("graphCommandFor", () => {
  it("steps along the graph, folds, and leaves the rest to the page", () => {
    const on = (key: string, ctrlKey = false): unknown => graphCommandFor({ key, ctrlKey, metaKey: false, altKey: false, shiftKey: false });
    expect(on("ArrowUp")).toEqual({ do: "go", direction: "up" });
    expect(on("Home")).toEqual({ do: "first" });
    expect(on(" ")).toEqual(on("Enter"));
    expect(on("]")).toBeNull();
    expect(on("ArrowLeft", true)).toBeNull();
  });
});
