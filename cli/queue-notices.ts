import type {QueueStatus} from '../schemas/queue.ts';
import {type Paint, printable} from './terminal.ts';

/** Longer than a branch takes that is in order. */
const noticeableMs = 60_000;

/** What keeps branches from their turn, one line each; empty when nothing does. */
export function queueNotices(
  {waiting, longest_wait_ms, working, failing}: QueueStatus,
  paint: Paint,
): string {
  const waits =
    longest_wait_ms < noticeableMs
      ? []
      : [
          `${paint.yellow('queue')} ${waiting} branch(es) wait for their turn, one for ${seconds(longest_wait_ms)}.\n`,
        ];
  const slow = working
    .filter(({for_ms}) => for_ms >= noticeableMs)
    .map(({branch, for_ms, stuck}) =>
      stuck
        ? `${paint.red(printable(branch))} The work on it hangs for ${seconds(for_ms)} and does not end; others go on. Start the controller again.\n`
        : `${paint.yellow(printable(branch))} The work on it takes ${seconds(for_ms)} by now; it is given up after ten minutes.\n`,
    );
  const tried = failing.map(
    ({branch, failures, retry_at}) =>
      `${paint.yellow(printable(branch))} It failed ${failures} time(s); it is tried again at ${retry_at}, others do not wait for it.\n`,
  );
  return [...waits, ...slow, ...tried].join('');
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
