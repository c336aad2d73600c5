import {stripVTControlCharacters} from 'node:util';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {maxReadyLineBytes, parseReadyLine, type ReadyRuntime} from '../inside.ts';
import {holdsProcess} from '../inside-process.ts';
import {foreignProcess, noReadyLine} from '../ready-runtime.ts';
import {type Incus, type IncusFacts, type Instance, isHere} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';
import {endedMark} from './instance-config.ts';

export interface RuntimeStart {
  readonly incus: Incus;
  readonly record: IncusRecord;
  readonly facts: IncusFacts;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const readyLookMs = 10;
const wordsKept = 2_000;

/**
 * Reads the console of an instance that was started until its runtime is ready. Throws PROVIDER_UNAVAILABLE with what it
 * wrote, or the signal's reason.
 */
export async function firstReady(
  start: RuntimeStart,
): Promise<{readonly ready: ReadyRuntime; readonly instance: Instance}> {
  const {incus, record, clock, timeoutMs, signal} = start;
  const untilMs = clock.now() + timeoutMs;
  let written = '';
  for (;;) {
    signal.throwIfAborted();
    const more = await incus.console(record.instance);
    // Some servers tell everything each time, others what is new.
    written = (more.startsWith(written) ? more : written + more).slice(-maxReadyLineBytes);
    const about = {name: record.name, said: saidOf(written)};
    const ready = readyOf(written);
    if (ready !== null) {
      const instance = await incus.findInstance(record.instance);
      if (instance !== null && (await isInside(start, instance, ready.pid))) return {ready, instance};
      throw foreignProcess(ready.pid, about);
    }
    if (written.includes(endedMark)) throw noReadyLine(null, {...about, timeoutMs});
    if (clock.now() > untilMs) throw noReadyLine(undefined, {...about, timeoutMs});
    await clock.sleep(readyLookMs, {signal});
  }
}

/** True also where the server's processes cannot be seen from here. */
async function isInside({incus, facts}: RuntimeStart, instance: Instance, pid: number): Promise<boolean> {
  if (!instance.running) return false;
  // On another machine a number of there is none of here.
  if (!isHere(instance, facts)) return true;
  return (await holdsProcess(await incus.firstProcess(instance.name), pid)) ?? true;
}

function readyOf(written: string): ReadyRuntime | null {
  for (const line of written.split('\n')) {
    const ready = line.startsWith('{') ? parseReadyLine(line.trim()) : null;
    if (ready !== null) return ready;
  }
  return null;
}

function saidOf(written: string): string {
  const words = stripVTControlCharacters(written.replaceAll(endedMark, '')).trim().slice(-wordsKept);
  return words === '' ? 'It wrote nothing to its console.' : `It wrote:\n${words}`;
}
