// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ParameterSpec } from "../../api/types";
import ParameterControl from "./ParameterControl.svelte";

afterEach(cleanup);

function parameter(part: Partial<ParameterSpec>): ParameterSpec {
  return { name: "sigma", kind: "float", default: 1, minimum: null, maximum: null, step: null, choices: [], unit: "", description: "What it does.", ...part };
}

describe("ParameterControl", () => {
  it("draws a number with its limits and unit", async () => {
    const onset = vi.fn();
    render(ParameterControl, { parameter: parameter({ minimum: 0, maximum: 5, step: 0.5, unit: "pixels" }), value: 2, onset });
    const input = screen.getByLabelText<HTMLInputElement>("sigma (pixels)");
    expect([input.type, input.min, input.max, input.step, input.value]).toEqual(["number", "0", "5", "0.5", "2"]);
    await fireEvent.change(input, { target: { value: "3.5" } });
    expect(onset).toHaveBeenCalledExactlyOnceWith(3.5);
  });

  it("keeps a number beyond its limits to itself", async () => {
    const onset = vi.fn();
    render(ParameterControl, { parameter: parameter({ minimum: 0, maximum: 5 }), value: 2, onset });
    const input = screen.getByLabelText("sigma");
    await fireEvent.change(input, { target: { value: "9" } });
    await fireEvent.change(input, { target: { value: "" } });
    expect(onset).not.toHaveBeenCalled();
  });

  it("draws a truth value as a check box", async () => {
    const onset = vi.fn();
    render(ParameterControl, { parameter: parameter({ name: "relu", kind: "bool", default: true }), value: true, onset });
    await fireEvent.click(screen.getByRole("checkbox", { name: "relu" }));
    expect(onset).toHaveBeenCalledExactlyOnceWith(false);
  });

  it("draws a choice with all its values", async () => {
    const onset = vi.fn();
    render(ParameterControl, { parameter: parameter({ name: "reduce_by", kind: "choice", choices: ["sum", "mean"] }), value: "mean", onset });
    const select = screen.getByRole<HTMLSelectElement>("combobox", { name: "reduce by" });
    expect([...select.options].map((option) => option.value)).toEqual(["sum", "mean"]);
    expect(select.value).toBe("mean");
    await fireEvent.change(select, { target: { value: "sum" } });
    expect(onset).toHaveBeenCalledExactlyOnceWith("sum");
  });
});
