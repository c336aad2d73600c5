import type {CallContext, CurrentCall} from './call-context.ts';

/** Names under which scripts know the global object. */
export const globalNames = ['globalThis', 'global', 'self'] as const;

/** What scripts that are no workers take for the global object: each call finds it as it was before any script ran. */
export interface FreshGlobals {
  /** That of the call which the running code belongs to. */
  present(): object;
}

/** Bare names that are made for scripts; whoever sets more has them on the object alone. */
const mostBareNames = 1000;

/** To be made when everything is there that each call shall find. */
export function createFreshGlobals(current: CurrentCall): FreshGlobals {
  const first = new Set(Reflect.ownKeys(globalThis));
  const added = new WeakMap<CallContext, {readonly own: object; readonly seen: object}>();
  let bareNames = 0;

  /** A name that a worker or a module has added since is none of a fresh global object. */
  const isVisible = (name: string | symbol) => first.has(name) || !Object.hasOwn(globalThis, name);

  function ofPresentCall() {
    const context = current.getStore();
    return context === undefined ? undefined : added.get(context);
  }

  /** Without it what a script sets there could not be read by its name alone, as it can on the true global object. */
  function makeBareName(name: PropertyKey): void {
    if (Object.hasOwn(globalThis, name) || bareNames >= mostBareNames) return;
    bareNames += 1;
    Object.defineProperty(globalThis, name, {
      configurable: true,
      get: () => Reflect.get(ofPresentCall()?.own ?? {}, name),
      set(value: unknown) {
        const own = ofPresentCall()?.own;
        if (own !== undefined) Reflect.set(own, name, value);
        else
          Object.defineProperty(globalThis, name, {
            value,
            configurable: true,
            enumerable: true,
            writable: true,
          });
      },
    });
  }

  function create(): {own: object; seen: object} {
    const own: object = Object.create(Object.getPrototypeOf(globalThis));
    const isItself = (name: PropertyKey) => globalNames.some((known) => known === name);
    const seen: object = new Proxy(own, {
      get(_, name) {
        if (Object.hasOwn(own, name)) return Reflect.get(own, name);
        if (isItself(name)) return seen;
        // Its getters and functions want the true global object.
        return isVisible(name) ? Reflect.get(globalThis, name) : undefined;
      },
      has: (_, name) => Object.hasOwn(own, name) || (isVisible(name) && Reflect.has(globalThis, name)),
      set(_, name, value) {
        makeBareName(name);
        return Reflect.set(own, name, value);
      },
      defineProperty(_, name, descriptor) {
        makeBareName(name);
        return Reflect.defineProperty(own, name, descriptor);
      },
      ownKeys: () => [
        ...new Set([
          ...Reflect.ownKeys(own),
          ...Reflect.ownKeys(globalThis).filter((name) => first.has(name)),
        ]),
      ],
      getOwnPropertyDescriptor(_, name) {
        const added = Reflect.getOwnPropertyDescriptor(own, name);
        if (added !== undefined) return added;
        const given = first.has(name) ? Reflect.getOwnPropertyDescriptor(globalThis, name) : undefined;
        if (given === undefined) return undefined;
        if (isItself(name)) return {value: seen, configurable: true, enumerable: false, writable: true};
        // A proxy may not tell of a fixed property that its target does not have.
        return {...given, configurable: true};
      },
      preventExtensions: () => false,
    });
    return {own, seen};
  }

  return {
    present() {
      const context = current.getStore();
      if (context === undefined) return globalThis;
      const known = added.get(context) ?? create();
      added.set(context, known);
      return known.seen;
    },
  };
}
