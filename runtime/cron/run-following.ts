import type {OutputEvent} from '../../schemas/cron-run-api.ts';
import type {Run} from '../../schemas/run.ts';
import type {JobRunner} from './job-runner.ts';

/** Text that waits for a slow reader; what comes beyond it is left out for this reader, never for the job. */
const mostWaitingLength = 1024 * 1024;

/**
 * The output of a run: what is there, what comes in, and the record when it is over. `read` gives the present record.
 * Ends early when `signal` aborts.
 */
export async function* followRun(
  read: () => Run,
  runner: JobRunner,
  signal: AbortSignal,
): AsyncGenerator<OutputEvent> {
  const first = read();
  const waiting: OutputEvent[] = [];
  let waitingLength = 0;
  let leftOut = 0;
  let isOver = false;
  let wake = () => {};

  const unfollow = runner.follow(first.id, {
    output(stream, text) {
      if (waitingLength > mostWaitingLength) leftOut += text.length;
      else {
        waiting.push({type: 'output', stream, text});
        waitingLength += text.length;
      }
      wake();
    },
    end() {
      isOver = true;
      wake();
    },
  });
  if (unfollow === null) {
    const {stdout, stderr} = first;
    if (stdout !== '') yield {type: 'output', stream: 'stdout', text: stdout};
    if (stderr !== '') yield {type: 'output', stream: 'stderr', text: stderr};
    yield {type: 'end', run: first};
    return;
  }
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      const event = waiting.shift();
      if (event?.type === 'output') {
        waitingLength -= event.text.length;
        yield event;
      } else if (leftOut > 0) {
        yield {type: 'gap', characters: leftOut};
        leftOut = 0;
      } else if (isOver) {
        yield {type: 'end', run: read()};
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    unfollow();
    signal.removeEventListener('abort', onAbort);
  }
}
