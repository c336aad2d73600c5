/**
 * Gives back to the system what the engine keeps only to be faster next time: compiled code, caches and free pages.
 * Takes effect when the event loop is idle; code is compiled again when it is called.
 */
export function releaseMemory(): void {
  // What start-up leaves is mostly code that does not run again, and schemas that were read once.
  Bun.gc(true);
  Bun.shrink();
}
