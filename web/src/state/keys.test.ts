import { describe, expect, it } from "vitest";
import { commandFor, type Focus } from "./keys";

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

  it("leaves widgets the keys that they need", () => {
    expect(press("ArrowLeft", "select")).toBeNull();
    expect(press("c", "select")).toBeNull();
    expect(press("]", "select")).toEqual({ do: "layer", step: 1 });
    expect(press(" ", "button")).toBeNull();
    expect(press("ArrowLeft", "picture")).toBeNull();
    expect(press("5", "text")).toBeNull();
  });
});
