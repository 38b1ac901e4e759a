import { readFile } from "node:fs/promises";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";
import { expect, it } from "vitest";

it("types are those of the schema: else run “npm run types”", { timeout: 60_000 }, async () => {
  const schema = new URL("../../openapi.json", import.meta.url);
  const written = await readFile(new URL("schema.ts", import.meta.url), "utf8");
  expect(COMMENT_HEADER + astToString(await openapiTS(schema))).toBe(written);
});
