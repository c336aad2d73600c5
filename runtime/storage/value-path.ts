/** Names of members and indexes of elements, from the outside in; empty for the whole value. */
export type ValuePath = readonly string[];

/** What stands at a path of a JSON value; undefined where nothing does. */
export function valueAt(value: unknown, path: ValuePath): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    // `length` is an own property of arrays and no element.
    if (Array.isArray(found) && !isIndex(name)) return undefined;
    found = Object.getOwnPropertyDescriptor(found, name)?.value;
  }
  return found;
}

/**
 * The same value with `leaf` at the path, in a copy. Objects that are missing on the way are made. Null where
 * something else is in the way: a number, a string, an array that has no such place.
 */
export function withValueAt(
  value: unknown,
  path: ValuePath,
  leaf: unknown,
): {readonly value: unknown} | null {
  const [name, ...rest] = path;
  if (name === undefined) return {value: leaf};
  const below = withValueAt(valueAt(value, [name]), rest, leaf);
  if (below === null) return null;
  if (Array.isArray(value)) {
    if (!isIndex(name) || Number(name) > value.length) return null;
    return {value: [...value.slice(0, Number(name)), below.value, ...value.slice(Number(name) + 1)]};
  }
  if (value !== undefined && (typeof value !== 'object' || value === null)) return null;
  // Not by assignment: `__proto__` is a name like any other.
  return {value: Object.fromEntries(new Map(Object.entries(value ?? {})).set(name, below.value))};
}

function isIndex(name: string): boolean {
  return /^(?:0|[1-9]\d{0,8})$/.test(name);
}
