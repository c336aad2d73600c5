type Variables = Record<string, string | undefined>;

/**
 * From here on `process.env` is what `present` gives, and the process's own variables where it gives null.
 * `Bun.env`, and `Bun.spawn` without `env`, go on with the process's own, and so does Bun's shell where it was used
 * before. Returns a copy of the process's own.
 */
export function showVariables(present: () => Variables | null): Variables {
  const own = process.env;
  const target = () => present() ?? own;
  const seen = new Proxy(own, {
    get: (_, name) => Reflect.get(target(), name),
    has: (_, name) => Reflect.has(target(), name),
    set: (_, name, value) => Reflect.set(target(), name, String(value)),
    deleteProperty: (_, name) => Reflect.deleteProperty(target(), name),
    ownKeys: () => Reflect.ownKeys(target()),
    getOwnPropertyDescriptor: (_, name) => Reflect.getOwnPropertyDescriptor(target(), name),
  });
  Object.defineProperty(process, 'env', {value: seen, configurable: true, writable: true});
  return {...own};
}
