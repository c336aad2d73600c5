import type {Clock} from '../../../runtime/platform/clock.ts';
import {AppError} from '../../../schemas/errors.ts';
import {parseReadyLine, type ReadyRuntime} from '../inside.ts';
import {holdsProcess} from '../inside-process.ts';
import {foreignProcess, noReadyLine} from '../ready-runtime.ts';
import type {DockerRecord} from './docker-record.ts';
import type {Engine, Output} from './engine.ts';
import {type HeardRuntime, hearRuntime} from './runtime-output.ts';

export interface RuntimeStart {
  readonly engine: Engine;
  readonly record: DockerRecord;
  /** Of the container of the engine. */
  readonly id: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const attachPauseMs = 50;
const mostAttachTries = 40;

/**
 * Starts a container of the engine and resolves when its runtime is ready. Throws PROVIDER_UNAVAILABLE with what it
 * wrote, or the signal's reason.
 */
export async function startRuntime(start: RuntimeStart): Promise<ReadyRuntime> {
  const {engine, record, id, signal} = start;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  try {
    const heard = hearRuntime(await attach({...start, signal: until}));
    await engine.start(id);
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const made = record.made_limits;
    if (made?.cpus !== cpus || made.memory_bytes !== memoryBytes) await engine.limit(id, {cpus, memoryBytes});
    return await firstReady(start, {heard, until});
  } finally {
    over.abort();
  }
}

async function attach({engine, id, clock, signal}: RuntimeStart): Promise<AsyncIterable<Output>> {
  for (let tried = 1; tried <= mostAttachTries; tried += 1) {
    const output = await engine.attach(id, {signal});
    if (output !== null) return output;
    await clock.sleep(attachPauseMs, {signal});
  }
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `The container engine is still clearing up after the last run of ${id}. Start it again in a moment.`,
  );
}

async function firstReady(
  {engine, record, id, clock, timeoutMs, signal}: RuntimeStart,
  {heard, until}: {heard: HeardRuntime; until: AbortSignal},
): Promise<ReadyRuntime> {
  const timeout = clock.sleep(timeoutMs, {signal: until}).then(() => undefined);
  const line = await Promise.race([heard.firstLine, timeout]);
  signal.throwIfAborted();
  const words = heard.lastWords();
  const said = words === '' ? 'It wrote nothing to its standard error.' : `It wrote:\n${words}`;
  const ready = line ? parseReadyLine(line) : null;
  if (ready === null) throw noReadyLine(line, {name: record.name, said, timeoutMs});
  const found = await engine.findContainer(id);
  // Where its processes cannot be seen from here the engine's word counts.
  const isInside = (await holdsProcess(found?.pid ?? 0, ready.pid)) ?? found?.running ?? false;
  if (!isInside) throw foreignProcess(ready.pid, {name: record.name, said});
  return ready;
}
