export const executionStatuses = [
  'running',
  'succeeded',
  'failed',
  'timed_out',
  'aborted',
  'interrupted',
] as const;
export type ExecutionStatus = (typeof executionStatuses)[number];
