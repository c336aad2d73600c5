/**
 * Gives back to the system what the engine keeps only to be faster next time: compiled code, caches and free pages.
 * Takes effect when the event loop is idle; code is compiled again when it is called.
 */
export function releaseMemory(): void {
  // `Bun.gc` collects objects only; what start-up leaves is mostly code that does not run again.
  Bun.shrink();
}
