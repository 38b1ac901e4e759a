import { describe, expect, it } from "vitest";
import { EMPTY_HISTORY, record, redo, undo, type History } from "./history";

describe("history", () => {
  it("goes back and forth", () => {
    const history: History<string> = record(record(EMPTY_HISTORY, "a"), "b");
    const back = undo(history, "c")!;
    expect(back.present).toBe("b");
    const further = undo(back.history, back.present)!;
    expect(further.present).toBe("a");
    expect(undo(further.history, further.present)).toBeNull();
    const forth = redo(further.history, further.present)!;
    expect(forth.present).toBe("b");
    const end = redo(forth.history, forth.present)!;
    expect(end.present).toBe("c");
    expect(redo(end.history, end.present)).toBeNull();
  });

  it("forgets what was undone once something new is done", () => {
    const back = undo(record(EMPTY_HISTORY as History<string>, "a"), "b")!;
    expect(redo(record(back.history, back.present), "c")).toBeNull();
  });

  it("is bounded", () => {
    let history: History<number> = EMPTY_HISTORY;
    for (let i = 0; i < 500; i++) history = record(history, i);
    expect(history.past).toHaveLength(100);
    expect(undo(history, 500)!.present).toBe(499);
  });
});
