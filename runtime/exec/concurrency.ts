interface Gate {
  running: number;
  readonly waiting: (() => void)[];
}

/** Lets at most so many calls of a script run at the same time; others wait in their order. */
export interface ConcurrencyLimits {
  /** Resolves with the function that lets the next one in. */
  enter(file: string, limit: number): Promise<() => void>;
}

export function createConcurrencyLimits(): ConcurrencyLimits {
  const gates = new Map<string, Gate>();
  return {
    async enter(file, limit) {
      const gate = gates.get(file) ?? {running: 0, waiting: []};
      gates.set(file, gate);
      if (gate.running >= limit) await new Promise<void>((resolve) => gate.waiting.push(resolve));
      else gate.running += 1;
      let isLeft = false;
      return () => {
        if (isLeft) return;
        isLeft = true;
        const next = gate.waiting.shift();
        if (next !== undefined) next();
        else gate.running -= 1;
        if (gate.running === 0) gates.delete(file);
      };
    },
  };
}
