/** What has become of one piece of work that one process hands to another. */
export const slotStates = {free: 0, sent: 1, started: 2, withdrawn: 3, ended: 4} as const;
export const slotCount = 4096;

/** The side that does the work; the other one is the `SlotOwner`. */
export interface SlotWorker {
  /** False where the work was withdrawn. */
  start(slot: number): boolean;
  end(slot: number): void;
  setRunning(slot: number): void;
}

export function openSlots(path: string): SlotWorker {
  const slots = mapSlots(path);
  return {
    start: (slot) =>
      slot === 0 ||
      Atomics.compareExchange(slots, slot, slotStates.sent, slotStates.started) === slotStates.sent,
    end: (slot) => {
      if (slot !== 0) Atomics.compareExchange(slots, slot, slotStates.started, slotStates.ended);
    },
    setRunning: (slot) => {
      Atomics.store(slots, 0, slot);
    },
  };
}

/** The numbers in a file, shared with whoever maps it too. */
export function mapSlots(path: string): Int32Array {
  const bytes = Bun.mmap(path, {shared: true});
  return new Int32Array(bytes.buffer, bytes.byteOffset, slotCount);
}
