/** Makes at the first call what every call is given. */
export function lazily<T>(make: () => T): () => T {
  let made: {readonly value: T} | null = null;
  return () => {
    made ??= {value: make()};
    return made.value;
  };
}

export interface Remembered<K extends object, V> {
  (key: K): V;
  forget(): void;
}

/** The answer for the same object is worked out once, until it is forgotten. */
export function rememberLast<K extends object, V>(work: (key: K) => V): Remembered<K, V> {
  let last: {readonly key: K; readonly value: V} | null = null;
  const answer = (key: K): V => {
    if (last?.key !== key) last = {key, value: work(key)};
    return last.value;
  };
  return Object.assign(answer, {
    forget() {
      last = null;
    },
  });
}
