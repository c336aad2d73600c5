import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {type Child, startChild} from '../platform/child-process.ts';
import type {Clock} from '../platform/clock.ts';
import {rm} from '../platform/files.ts';
import {hostMessageSchema} from './call.ts';

/** A script host of one generation: one deployment with one set of variables. */
export interface HostProcess {
  readonly pid: number;
  readonly socketPath: string;
  /** Resolves when it takes calls; rejects with AppError SCRIPT_HOST_FAILED when it ends or stays silent. */
  readonly ready: Promise<void>;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** False when its event loop does not answer within `withinMs`. */
  responds(withinMs: number): Promise<boolean>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

const readyWithinMs = 60_000;

export function startHostProcess({
  command,
  environment,
  workingDirectory,
  socketDirectory,
  scriptsDirectory,
  cacheDirectory,
  clock,
}: {
  /** Starts this program again; the word `script-host` and its arguments are added. */
  command: readonly string[];
  environment: Readonly<Record<string, string>>;
  workingDirectory: string;
  socketDirectory: string;
  scriptsDirectory: string;
  cacheDirectory: string;
  clock: Clock;
}): HostProcess {
  const socketPath = join(socketDirectory, `exec-${randomBytes(4).toString('hex')}.sock`);
  const ready = Promise.withResolvers<void>();
  const pings = new Map<number, () => void>();
  let lastPing = 0;
  const child = startChild({
    command: [...command, 'script-host', socketPath, scriptsDirectory, cacheDirectory],
    environment,
    directory: workingDirectory,
    onMessage(message) {
      // A script may find a way to write to this channel; what is not one of our messages is dropped.
      const parsed = hostMessageSchema.safeParse(message);
      if (!parsed.success) return;
      if (parsed.data.type === 'ready') ready.resolve();
      else pings.get(parsed.data.ping)?.();
    },
  });
  const ended = child.exited.then(async (code) => {
    ready.reject(
      new AppError(
        'SCRIPT_HOST_FAILED',
        `The script host ended with exit code ${code} before it took calls.`,
      ),
    );
    await rm(socketPath, {force: true});
  });
  const silence = watchSilence(clock, child, ready.promise);
  return {
    pid: child.pid,
    socketPath,
    ready: Promise.race([ready.promise, silence]),
    ended,
    async responds(withinMs) {
      const ping = ++lastPing;
      const stop = new AbortController();
      const pong = new Promise<boolean>((resolve) => pings.set(ping, () => resolve(true)));
      child.send({type: 'ping', ping});
      try {
        return await Promise.race([pong, slept(clock, withinMs, stop.signal).then(() => false)]);
      } finally {
        pings.delete(ping);
        stop.abort();
      }
    },
    kill: (signal) => child.kill(signal),
  };
}

async function watchSilence(clock: Clock, child: Child, ready: Promise<void>): Promise<void> {
  const stop = new AbortController();
  const spoke = ready.finally(() => stop.abort());
  await Promise.race([spoke, slept(clock, readyWithinMs, stop.signal)]);
  if (stop.signal.aborted) return;
  child.kill('SIGKILL');
  throw new AppError(
    'SCRIPT_HOST_FAILED',
    `The script host was not ready after ${readyWithinMs / 1000} s and was ended.`,
  );
}

/** A sleep that ends quietly when it is no longer wanted. */
function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return clock.sleep(ms, {signal}).catch(() => {
    // Aborted: whoever aborts has another answer already.
  });
}
