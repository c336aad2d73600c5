import type {Clock} from '../platform/clock.ts';
import type {Snapshot} from './snapshot.ts';

/** What is remembered of transfers that are over: how they ended, never what was in them. */
export interface FinishedTransfers {
  note(name: string, snapshot: Snapshot): void;
  /** Null where none with this id ended on this name lately. */
  find(name: string, transferId: string): Snapshot | null;
  /** True where a transfer ended on this name within the last half minute. */
  endedLately(name: string): boolean;
}

const keptMs = 600_000;
const mostKept = 1000;
const lingerMs = 30_000;

export function createFinishedTransfers(clock: Clock): FinishedTransfers {
  const kept = new Map<string, {name: string; atMs: number; snapshot: Snapshot}>();
  const lastEndMs = new Map<string, number>();

  /** Both maps are in the order of time. */
  function forget(nowMs: number): void {
    for (const [id, {atMs}] of kept) {
      if (kept.size <= mostKept && nowMs - atMs < keptMs) break;
      kept.delete(id);
    }
    for (const [name, atMs] of lastEndMs) {
      if (lastEndMs.size <= mostKept && nowMs - atMs < lingerMs) break;
      lastEndMs.delete(name);
    }
  }

  return {
    note(name, snapshot) {
      const atMs = clock.now();
      lastEndMs.delete(name);
      lastEndMs.set(name, atMs);
      if (snapshot.transferId !== null) {
        kept.delete(snapshot.transferId);
        kept.set(snapshot.transferId, {name, atMs, snapshot});
      }
      forget(atMs);
    },
    find(name, transferId) {
      forget(clock.now());
      const found = kept.get(transferId);
      return found?.name === name ? found.snapshot : null;
    },
    endedLately(name) {
      forget(clock.now());
      return lastEndMs.has(name);
    },
  };
}
