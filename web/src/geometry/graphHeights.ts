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

const ROUNDS = 24;
/** A line that passes stays straight before all; then a chain of cells, then where a line comes to its cell. */
const [PASSING, CHAIN, ARRIVING] = [8, 4, 1];

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

function weightOf([left, right]: Link): number {
  if (!left.isCell && !right.isCell) return PASSING;
  return left.isCell && right.isCell ? CHAIN : ARRIVING;
}

/** The height at which lines meet each item of some neighbouring columns. Zero is anywhere. */
export function findHeights(columns: readonly (readonly Item[])[], links: readonly (readonly Link[])[], room: Room): Map<Item, number> {
  const heights = new Map<Item, number>();
  const neighbours = new Map<Item, [Item, number][]>();
  for (const items of columns) {
    const start = settle(items, items.map(() => ({ weight: 1, sum: 0 })), room);
    items.forEach((item, i) => heights.set(item, start[i]!));
    for (const item of items) neighbours.set(item, []);
  }
  for (const link of links.flat()) {
    neighbours.get(link[0])!.push([link[1], weightOf(link)]);
    neighbours.get(link[1])!.push([link[0], weightOf(link)]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const items of round % 2 === 0 ? columns : columns.toReversed()) {
      const wishes = items.map((item) => {
        // A little of its own height, so that what has no neighbour stays.
        const wish = { weight: 0.1, sum: 0.1 * heights.get(item)! };
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
