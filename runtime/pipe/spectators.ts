import {AppError} from '../../schemas/errors.ts';
import type {Snapshot} from './snapshot.ts';

/** `isOver` where this was the last news of a transfer. */
export type Spectator = (snapshot: Snapshot, isOver: boolean) => void;

/** Who watches which name without a place on it. */
export interface Spectators {
  readonly count: number;
  /** Throws PIPE_CAPACITY. Returns how to stop watching. */
  add(name: string, spectator: Spectator): () => void;
  has(name: string): boolean;
  tell(name: string, snapshot: Snapshot, isOver: boolean): void;
}

const mostOfOneName = 50;
const mostNames = 500;

export function createSpectators(): Spectators {
  const byName = new Map<string, Set<Spectator>>();
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(name, spectator) {
      const group = byName.get(name) ?? new Set();
      if (group.size >= mostOfOneName || (group.size === 0 && byName.size >= mostNames)) {
        throw new AppError(
          'PIPE_CAPACITY',
          `At most ${mostOfOneName} can watch one name, and ${mostNames} names can be watched. Try again later.`,
        );
      }
      byName.set(name, group.add(spectator));
      count += 1;
      return () => {
        if (!group.delete(spectator)) return;
        count -= 1;
        if (group.size === 0) byName.delete(name);
      };
    },
    has: (name) => byName.has(name),
    tell(name, snapshot, isOver) {
      for (const spectator of byName.get(name) ?? []) spectator(snapshot, isOver);
    },
  };
}
