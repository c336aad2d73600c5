import {closeSync, ftruncateSync, openSync, rmSync} from 'node:fs';
import {mapSlots, slotCount, slotStates} from './shared-slots.ts';

/**
 * Memory that two processes share, one number for each piece of work. Either side can act on it alone, also
 * while the other one does not run: a piece is started or withdrawn, never both.
 */
export interface SlotOwner {
  /** A slot whose work is sent; 0 when all are taken. */
  take(): number;
  /** Gives a slot back. Work that has not been started never will be. */
  release(slot: number): void;
  isStarted(slot: number): boolean;
  /** True where nothing of the work runs any more. */
  isEnded(slot: number): boolean;
  /** True where the work had not been started and now never will be. The slot is not used again. */
  withdraw(slot: number): boolean;
  /** The slot whose first stretch, up to its first wait, is running; 0 for none. */
  running(): number;
  close(): void;
}

export function createSlots(path: string): SlotOwner {
  const file = openSync(path, 'wx+', 0o600);
  ftruncateSync(file, slotCount * Int32Array.BYTES_PER_ELEMENT);
  closeSync(file);
  const slots = mapSlots(path);
  const free: number[] = [];
  let used = 0;
  return {
    take() {
      const slot = free.pop() ?? (used + 1 < slotCount ? ++used : 0);
      if (slot !== 0) Atomics.store(slots, slot, slotStates.sent);
      return slot;
    },
    release(slot) {
      if (slot === 0 || Atomics.load(slots, slot) === slotStates.withdrawn) return;
      // The other side may still read what was sent, and would take it for what comes next in this slot.
      if (Atomics.compareExchange(slots, slot, slotStates.sent, slotStates.withdrawn) === slotStates.sent)
        return;
      Atomics.store(slots, slot, slotStates.free);
      free.push(slot);
    },
    isStarted: (slot) => slot === 0 || Atomics.load(slots, slot) === slotStates.started,
    isEnded: (slot) => slot === 0 || Atomics.load(slots, slot) !== slotStates.started,
    withdraw: (slot) =>
      slot !== 0 &&
      Atomics.compareExchange(slots, slot, slotStates.sent, slotStates.withdrawn) === slotStates.sent,
    running: () => Atomics.load(slots, 0),
    close: () => rmSync(path, {force: true}),
  };
}
