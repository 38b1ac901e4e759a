/** How high each item of a row stands: lines as straight as the order in each column lets them be, and no room wasted. */

import type { Item, Link } from "./graphStrip";

export interface Room {
  /** How far a cell reaches above and below the height at which lines meet it. */
  above: number;
  below: number;
  /** Between cells, and beside a line. */
  gap: number;
  lane: number;
}

const ROUNDS = 32;
/** A line that passes stays straight before all; then a chain of cells, then where a line comes to its cell. */
const [PASSING, CHAIN, ARRIVING] = [4, 4, 0.25];

interface Wish {
  weight: number;
  sum: number;
}

function separation(upper: Item, lower: Item, room: Room): number {
  const gap = upper.isCell && lower.isCell ? room.gap : room.lane;
  return (upper.isCell ? room.below : 0) + gap + (lower.isCell ? room.above : 0);
}

/** The heights closest to those wished for, with the least distance between each two: pools of items that touch move as one. */
function settle(items: readonly Item[], wishes: readonly Wish[], room: Room): number[] {
  const offsets = items.map(() => 0);
  for (let i = 1; i < items.length; i++) offsets[i] = offsets[i - 1]! + separation(items[i - 1]!, items[i]!, room);
  const pools: { weight: number; sum: number; count: number }[] = [];
  wishes.forEach(({ weight, sum }, i) => {
    let pool = { weight, sum: sum - weight * offsets[i]!, count: 1 };
    for (let last = pools.at(-1); last !== undefined && last.sum / last.weight > pool.sum / pool.weight; last = pools.at(-1)) {
      pool = { weight: last.weight + pool.weight, sum: last.sum + pool.sum, count: last.count + pool.count };
      pools.pop();
    }
    pools.push(pool);
  });
  return pools.flatMap(({ weight, sum, count }) => Array<number>(count).fill(sum / weight)).map((height, i) => height + offsets[i]!);
}

/** Links of cells. Those along a passing line are left out: it keeps straight as a whole. */
function findNeighbours(items: readonly Item[], links: readonly Link[]): Map<Item, [Item, number][]> {
  const neighbours = new Map<Item, [Item, number][]>(items.map((item) => [item, []]));
  for (const [left, right] of links) {
    if (!left.isCell && !right.isCell) continue;
    const weight = left.isCell && right.isCell ? CHAIN : ARRIVING;
    neighbours.get(left)!.push([right, weight]);
    neighbours.get(right)!.push([left, weight]);
  }
  return neighbours;
}

function meanHeight(items: readonly Item[], heights: ReadonlyMap<Item, number>): number {
  return items.reduce((sum, item) => sum + heights.get(item)!, 0) / items.length;
}

/** The height at which lines meet each item of some neighbouring columns. Zero is anywhere. */
export function findHeights(columns: readonly (readonly Item[])[], links: readonly (readonly Link[])[], room: Room): Map<Item, number> {
  const heights = new Map<Item, number>();
  const neighbours = findNeighbours(columns.flat(), links.flat());
  const passing = new Map<string, Item[]>();
  for (const item of columns.flat()) if (!item.isCell) passing.set(item.id, [...(passing.get(item.id) ?? []), item]);
  for (const items of columns) {
    // Cells in the middle, and what passes beside them.
    const start = settle(items, items.map(({ isCell }) => ({ weight: isCell ? 1 : 0.01, sum: 0 })), room);
    items.forEach((item, i) => heights.set(item, start[i]!));
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const items of round % 2 === 0 ? columns : columns.toReversed()) {
      const wishes = items.map((item) => {
        // A little of its own height, so that what has no neighbour stays.
        const wish = { weight: 0.1, sum: 0.1 * heights.get(item)! };
        if (!item.isCell) {
          wish.weight += PASSING;
          wish.sum += PASSING * meanHeight(passing.get(item.id)!, heights);
        }
        for (const [other, weight] of neighbours.get(item)!) {
          wish.weight += weight;
          wish.sum += weight * heights.get(other)!;
        }
        return wish;
      });
      settle(items, wishes, room).forEach((height, i) => heights.set(items[i]!, height));
    }
  }
  return heights;
}
