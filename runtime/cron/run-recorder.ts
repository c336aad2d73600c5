import {type Clock, nextTurn} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import type {RunOutput, RunResult, RunStore} from './run-store.ts';

/** Something whose output can be looked at while it grows. */
export interface OutputSource {
  /** Grows with every byte. */
  readonly outputBytes: number;
  output(): RunOutput;
}

/** Writes what happens to runs, many at a time, and how those of a former runtime ended. What cannot be written is tried again. */
export interface RunRecorder {
  /** From now on the record holds what was there up to a second ago. */
  watch(id: string, source: OutputSource): void;
  /** Ends the watch. Resolves when the result is on record, or when that failed and is left for later. */
  finished(id: string, result: RunResult): Promise<void>;
  /** Writes what is waiting; false where that failed. */
  flush(): boolean;
}

const outputIntervalMs = 1000;
/** Results that wait for room on the disk keep their output up to this number. */
const mostWaitingOutputs = 500;

/** To be made before any run is claimed. */
export function createRunRecorder({clock, log, runs}: {clock: Clock; log: Log; runs: RunStore}): RunRecorder {
  let interrupted: readonly string[] = runs.unfinished();
  const watched = new Map<string, {source: OutputSource; writtenBytes: number}>();
  const results = new Map<string, RunResult>();
  let flushing: Promise<void> | null = null;
  let isLooking = false;

  function flushInterrupted(): void {
    if (interrupted.length === 0) return;
    const fields = {runs: interrupted.length};
    try {
      runs.interrupt(interrupted);
      interrupted = [];
      log.warn('runs were interrupted by the end of the former runtime', fields);
    } catch (error) {
      log.error('interrupted runs could not be recorded; it is tried again', {error, ...fields});
    }
  }

  function flush(): boolean {
    flushInterrupted();
    if (results.size === 0) return true;
    try {
      runs.finished(results);
      results.clear();
      return true;
    } catch (error) {
      log.error('ends of runs could not be written; it is tried again', {error, runs: results.size});
      if (results.size > mostWaitingOutputs)
        for (const [id, result] of results)
          results.set(id, {...result, stdout: '', stderr: '', truncated: true});
      return false;
    }
  }

  function writeOutputs(): void {
    const grown = [...watched].filter(([, {source, writtenBytes}]) => source.outputBytes > writtenBytes);
    if (grown.length === 0) return;
    try {
      runs.outputs(new Map(grown.map(([id, {source}]) => [id, source.output()])));
      for (const [, each] of grown) each.writtenBytes = each.source.outputBytes;
    } catch (error) {
      log.error('output of running jobs could not be written; it is tried again', {
        error,
        runs: grown.length,
      });
    }
  }

  async function lookWhileRunning(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    while (watched.size > 0) {
      await clock.sleep(outputIntervalMs);
      writeOutputs();
    }
    isLooking = false;
  }

  flushInterrupted();
  return {
    watch(id, source) {
      watched.set(id, {source, writtenBytes: 0});
      void lookWhileRunning();
    },
    finished(id, result) {
      watched.delete(id);
      results.set(id, result);
      // Runs that end in the same turn share one write to the disk.
      flushing ??= nextTurn().then(() => {
        flushing = null;
        flush();
      });
      return flushing;
    },
    flush,
  };
}
