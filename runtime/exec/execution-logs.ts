/** What single calls wrote; the record of calls keeps it. */
export interface ExecutionLogs {
  /** The newest first. */
  list(limit: number): Promise<readonly ExecutionLog[]>;
  /** Null where nothing is kept of the call. */
  read(executionId: string): Promise<(ExecutionLog & {readonly text: string}) | null>;
}

export interface ExecutionLog {
  readonly executionId: string;
  /** Bytes. */
  readonly size: number;
  readonly modified: Date;
}

/** For a runtime that keeps no output of calls. */
export const noExecutionLogs: ExecutionLogs = {
  list: async () => [],
  read: async () => null,
};
