/** How wide text will be, which only the viewer's fonts decide: an estimate on the safe side. */

const WIDE_FROM = 0x2e80;

export function textWidth(text: string, size: number): number {
  let units = 0;
  for (const character of text) units += character.codePointAt(0)! >= WIDE_FROM ? 1 : 0.56;
  return units * size;
}

/** Cut what is longer than a line, which a single word can be. */
function pieces(word: string, width: number, size: number): string[] {
  const found = [""];
  for (const character of word) {
    if (found.at(-1) !== "" && textWidth(found.at(-1)! + character, size) > width) found.push("");
    found[found.length - 1] += character;
  }
  return found;
}

/** The lines that text takes in a width. */
export function wrap(text: string, width: number, size: number): string[] {
  const lines = [""];
  for (const word of text.split(/\s+/).flatMap((part) => pieces(part, width, size))) {
    const longer = lines.at(-1) === "" ? word : `${lines.at(-1)} ${word}`;
    if (textWidth(longer, size) > width && lines.at(-1) !== "") lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}
