/** About the object that all scripts of a host share. A path is keys with dots between; null is the whole. */
export type SharedStateRequest =
  | {readonly action: 'get'; readonly path: string | null}
  | {readonly action: 'clear'; readonly path: string | null}
  | {
      readonly action: 'set';
      readonly path: string | null;
      /** JSON. */
      readonly value: unknown;
      readonly merge: boolean;
    };

/** What a path holds; `value` is null where JSON has no word for it. */
export interface SharedStateAnswer {
  readonly exists: boolean;
  readonly value: unknown;
}

type Shared = Record<string, unknown>;

/** Reads or changes the shared object; answers what the path holds afterwards. */
export function applySharedState(shared: Shared, request: SharedStateRequest): SharedStateAnswer {
  const {path} = request;
  if (request.action === 'get') return answerOf(path === null ? shared : valueAt(shared, keysOf(path)));
  if (path === null) {
    const kept = request.action === 'set' && request.merge;
    if (!kept) for (const key of Object.keys(shared)) delete shared[key];
    if (request.action === 'set' && isObject(request.value)) Object.assign(shared, request.value);
    return answerOf(shared);
  }
  const keys = keysOf(path);
  const last = keys.pop() ?? '';
  if (request.action === 'clear') {
    const parent = valueAt(shared, keys);
    if (isObject(parent)) delete parent[last];
    return {exists: false, value: null};
  }
  const parent = keys.reduce<Shared>((object, key) => {
    const next = ownValue(object, key);
    if (isObject(next)) return next;
    const made: Shared = {};
    object[key] = made;
    return made;
  }, shared);
  const before = ownValue(parent, last);
  const {value, merge} = request;
  parent[last] = merge && isObject(before) && isObject(value) ? {...before, ...value} : value;
  return answerOf(parent[last]);
}

function keysOf(path: string): string[] {
  return path.split('.');
}

function valueAt(object: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>((value, key) => (isObject(value) ? ownValue(value, key) : undefined), object);
}

function ownValue(object: Shared, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function isObject(value: unknown): value is Shared {
  return typeof value === 'object' && value !== null;
}

/** A script may keep what JSON cannot say, or something that points to itself. */
function answerOf(value: unknown): SharedStateAnswer {
  try {
    const text = JSON.stringify(value);
    return {exists: value !== undefined, value: text === undefined ? null : JSON.parse(text)};
  } catch {
    return {exists: true, value: null};
  }
}
