/** A name that every file system takes, made of what the view is about. */

const LONGEST = 100;

export function fileName(words: readonly string[], ending: string): string {
  const clean = words
    .map((word) => word.normalize("NFC").replace(/[^\p{L}\p{N}._]+/gu, "-").replace(/^[-._]+|[-._]+$/g, ""))
    .filter((word) => word !== "");
  // Begun with a word of its own, it is never hidden, nor one that Windows keeps for itself.
  const name = [...["segscope", ...clean].join("-")].slice(0, LONGEST).join("");
  return `${name.replace(/[-._]+$/, "")}.${ending}`;
}

/** A file's name without its ending. */
export function stem(name: string): string {
  return name.replace(/(?<=.)\.[^.]*$/, "");
}
