import type {Execution} from '../../schemas/execution.ts';
import {nextTurn} from '../platform/clock.ts';
import type {Executions} from './executions.ts';

/** What single calls wrote, as it stands in their records. */
export interface ExecutionLogs {
  /** Of the newest calls those that wrote something, the newest first. */
  list(limit: number): readonly ExecutionLog[];
  /** Of all calls that are kept, the newest first, a few at a time so that others get their turn. */
  texts(): AsyncIterable<{readonly executionId: string; readonly text: string}>;
  /** Null where nothing is kept of the call. */
  read(executionId: string): (ExecutionLog & {readonly text: string}) | null;
}

export interface ExecutionLog {
  readonly executionId: string;
  /** Bytes. */
  readonly size: number;
  readonly modified: Date;
}

const callsPerTurn = 50;
const everyCall = {
  script: null,
  status: null,
  commit: null,
  runId: null,
  sinceMs: null,
  untilMs: null,
  cursor: null,
} as const;

export function createExecutionLogs(executions: Pick<Executions, 'list' | 'find'>): ExecutionLogs {
  return {
    list: (limit) =>
      executions
        .list({...everyCall, limit})
        .items.map(logOf)
        .filter(({size}) => size > 0),
    async *texts() {
      let cursor: string | null = null;
      do {
        const page: ReturnType<typeof executions.list> = executions.list({
          ...everyCall,
          cursor,
          limit: callsPerTurn,
        });
        for (const execution of page.items) {
          const text = textOf(execution);
          if (text !== '') yield {executionId: execution.id, text};
        }
        cursor = page.next_cursor;
        await nextTurn();
      } while (cursor !== null);
    },
    read(executionId) {
      const execution = executions.find(executionId);
      return execution === null ? null : {...logOf(execution), text: textOf(execution)};
    },
  };
}

function logOf(execution: Execution): ExecutionLog {
  const {id, started_at, finished_at} = execution;
  const size = Buffer.byteLength(textOf(execution));
  return {executionId: id, size, modified: new Date(finished_at ?? started_at)};
}

function textOf({stdout, stderr}: Execution): string {
  return stdout + stderr;
}
