/** A set of numbers from 0 to 31: bit n stands for n. */
export type BitSet = number;

export function has(set: BitSet, value: number): boolean {
  return ((set >>> value) & 1) === 1;
}

/** The smallest member that is at least `from` (0 to 31); -1 where there is none. */
export function firstFrom(set: BitSet, from: number): number {
  const rest = set & (-1 << from);
  return rest === 0 ? -1 : 31 - Math.clz32(rest & -rest);
}

/** Members from `first` to `last`, ascending. */
export function valuesOf(set: BitSet, first: number, last: number): number[] {
  const values: number[] = [];
  for (let value = first; value <= last; value += 1) if (has(set, value)) values.push(value);
  return values;
}
