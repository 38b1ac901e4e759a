// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import LegendRow from "./LegendRow.svelte";

afterEach(cleanup);

const entry = { index: 5, name: "cap", color: "#d55e00" };

describe("LegendRow", () => {
  it.each([
    [0, null, "0 %", "–"],
    [0.004, 0.5, "0.4 %", "IoU 0.50"],
    [0.774, 0.968, "77 %", "IoU 0.97"],
    [1, 1, "100 %", "IoU 1.00"],
  ])("writes a share of %f and an IoU of %f", (share, iou, percent, overlap) => {
    render(LegendRow, { entry, position: 5, result: { index: 5, name: "cap", share, iou }, importance: 0.25, selected: false, onselect: vi.fn() });
    expect(screen.getByTestId("share-cap").textContent).toBe(percent);
    expect(screen.getByTestId("iou-cap").textContent).toContain(overlap);
    expect(screen.getByTestId("importance-cap").textContent).toBe("25 %");
  });

  it("keeps its places free while there is no prediction", () => {
    render(LegendRow, { entry, position: 5, result: null, importance: null, selected: false, onselect: vi.fn() });
    expect(screen.getByTestId("share-cap").textContent).toBe("–");
    expect(screen.getByTestId("importance-cap").textContent).toBe("–");
  });

  it("is a button that says whether it is selected, and selects", async () => {
    const onselect = vi.fn();
    render(LegendRow, { entry, position: 5, result: null, importance: null, selected: true, onselect });
    const button = screen.getByRole("button", { name: /cap/, pressed: true });
    expect(button.title).toBe("Key 6");
    await fireEvent.click(button);
    expect(onselect).toHaveBeenCalledOnce();
  });
});
