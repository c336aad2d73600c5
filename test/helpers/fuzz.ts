import type {ExecutionContext} from 'ava';
import fc from 'fast-check';
import {createSerialLock} from '../../runtime/platform/serial-lock.ts';

/** For all properties of a file together. */
const longestWaitMs = 3_600_000;

/** Properties of one file take turns: a synchronous one would eat the time of the others. */
const inTurn = createSerialLock();

/**
 * Runs a property `runs` times, or for FUZZ_SECONDS seconds where that is set. A failure prints seed and path;
 * FUZZ_SEED, FUZZ_PATH and, where steps were made fewer, FUZZ_REPLAY repeat it.
 */
export async function fuzz<T>(
  t: ExecutionContext,
  property: fc.IRawProperty<T>,
  {runs, stateful = false}: {runs: number; stateful?: boolean},
): Promise<void> {
  const seconds = Number(process.env.FUZZ_SECONDS ?? 0);
  const {FUZZ_SEED: seed, FUZZ_PATH: path} = process.env;
  t.timeout(longestWaitMs);
  const options: fc.Parameters<T> = {
    ...(seconds === 0
      ? {numRuns: runs}
      : {
          numRuns: Number.MAX_SAFE_INTEGER,
          interruptAfterTimeLimit: seconds * 1000,
          markInterruptAsFailure: false,
        }),
    // What a smaller input does after a failure says nothing where runs follow from each other.
    endOnFailure: stateful,
    ...(seed === undefined ? {} : {seed: Number(seed)}),
    ...(path === undefined ? {} : {path}),
  };
  // When the time is over, the run that goes on is not waited for, and would report to a test that has ended.
  const run = property.run.bind(property);
  let last: unknown = null;
  property.run = (value: T) => {
    const running = run(value);
    last = running;
    return running;
  };
  const details = await inTurn(async () => {
    const found = await fc.check(property, options);
    await last;
    return found;
  });
  if (seconds > 0) t.log(`${details.numRuns} runs, seed ${details.seed}`);
  const reason = details.errorInstance instanceof Error ? `\n${details.errorInstance.message}` : '';
  if (details.failed) t.fail(`${fc.defaultReportMessage(details)}${reason}\n\nagain: ${repetition(details)}`);
  else t.true(details.numRuns > 0);
}

/** What stands before the command that runs the test, to have the same failure again. */
function repetition<T>({seed, counterexamplePath, counterexample}: fc.RunDetails<T>): string {
  const steps = /replayPath=("[^"]*")/.exec(fc.stringify(counterexample))?.[1];
  const variables = {FUZZ_SEED: seed, FUZZ_PATH: counterexamplePath, FUZZ_REPLAY: steps};
  return Object.entries(variables)
    .flatMap(([name, value]) => (value == null ? [] : [`${name}=${value}`]))
    .join(' ');
}
