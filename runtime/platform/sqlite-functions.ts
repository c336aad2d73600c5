import {Database} from 'bun:sqlite';

type SqlValue = string | number | bigint | null | Uint8Array;

/**
 * Gives every database that is opened in this process a function, and a wait of `busyTimeoutMs` for locks, at
 * its first use. Only the script host calls it: code that is not ours opens databases there.
 */
export function addToEveryDatabase({
  name,
  call,
  busyTimeoutMs,
}: {
  name: string;
  call: (...values: SqlValue[]) => SqlValue;
  busyTimeoutMs: number;
}): void {
  const prepared = new WeakSet<object>();
  const prototype = Database.prototype;
  const {run} = prototype;
  for (const method of ['query', 'prepare', 'run', 'exec'] as const) {
    const original: unknown = Reflect.get(prototype, method);
    if (typeof original !== 'function') continue;
    Reflect.set(prototype, method, function (this: Database, ...values: unknown[]): unknown {
      if (!prepared.has(this)) {
        prepared.add(this);
        // directOnly: a stored index or view on our function would make the file unreadable elsewhere.
        addFunction(this, name, call);
        run.call(this, `PRAGMA busy_timeout = ${busyTimeoutMs}`);
      }
      return Reflect.apply(original, this, values);
    });
  }
}

function addFunction(database: Database, name: string, call: (...values: SqlValue[]) => SqlValue): void {
  // The published types lag behind the runtime here.
  const add: unknown = Reflect.get(database, 'function');
  if (typeof add === 'function')
    Reflect.apply(add, database, [name, {deterministic: true, directOnly: true, varargs: true}, call]);
}
