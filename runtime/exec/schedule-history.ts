import {type ScheduledRun, type ScheduleHistory, scheduledRunSchema} from '../../schemas/exec-operations.ts';
import {readTextIfPresent} from '../platform/durable-file.ts';

export interface HistoryQuery {
  readonly scriptPath: string | null;
  readonly sinceMs: number | null;
  readonly limit: number;
  /** With the file that gave way to the present one. */
  readonly includeRotated: boolean;
  /** `nextCursor` of the page before: the id of its last run. */
  readonly cursor: string | null;
}

/** Runs of schedules from their log, the newest first. Lines that a crash cut short are left out. */
export async function readScheduleHistory(path: string, query: HistoryQuery): Promise<ScheduleHistory> {
  const paths = query.includeRotated ? [`${path}.1`, path] : [path];
  const texts = await Promise.all(paths.map(readTextIfPresent));
  const runs = texts
    .flatMap((text) => (text ?? '').split('\n').flatMap((line) => parseRun(line) ?? []))
    .filter(({scriptPath}) => query.scriptPath === null || scriptPath === query.scriptPath)
    .filter(({scheduledAt}) => query.sinceMs === null || Date.parse(scheduledAt) >= query.sinceMs)
    .reverse();
  const start = query.cursor === null ? 0 : runs.findIndex(({runId}) => runId === query.cursor) + 1;
  const page = runs.slice(start, start + query.limit);
  const hasMore = start + page.length < runs.length;
  return {count: page.length, runs: page, nextCursor: hasMore ? (page.at(-1)?.runId ?? null) : null};
}

function parseRun(line: string): ScheduledRun | null {
  try {
    return scheduledRunSchema.parse(JSON.parse(line));
  } catch {
    // Cut short by a crash, or the empty last line.
    return null;
  }
}
