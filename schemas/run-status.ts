/** How a run stands; the last five are ends. */
export const runStatuses = ['running', 'succeeded', 'failed', 'timed_out', 'skipped', 'interrupted'] as const;
export type RunStatus = (typeof runStatuses)[number];
