import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {type Child, startChild} from '../platform/child-process.ts';
import type {Clock} from '../platform/clock.ts';
import {rm} from '../platform/files.ts';
import {createHostConnections, type HostConnections} from '../platform/host-connections.ts';
import {type ProcessUsage, readProcessUsage} from '../platform/process-usage.ts';
import {createSlots, type SlotOwner} from '../platform/shared-slots.ts';
import {createHostMessageSchema, type HostMessage} from './host-messages.ts';

/** What a host says of a call beside its answer. */
export type CallMessage = Extract<HostMessage, {executionId: string}>;

/** A script host of one generation: one deployment with one set of variables. */
export interface HostProcess {
  readonly pid: number;
  /** Where it takes calls. */
  readonly socketPath: string;
  readonly connections: HostConnections;
  readonly slots: SlotOwner;
  /** Resolves when it takes calls; rejects with AppError SCRIPT_HOST_FAILED when it ends or stays silent. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Resolves with the path of a socket that takes websockets. */
  openSockets(): Promise<string>;
  /** Asks for a sign of life; `onPong` is called when it comes. */
  ping(onPong: () => void): void;
  usage(): ProcessUsage | null;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface HostStart {
  /** Starts this program again; the word `script-host` and its arguments are added. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly socketDirectory: string;
  readonly scriptsDirectory: string;
  readonly clock: Clock;
  readonly onCallMessage: (message: CallMessage) => void;
}

const readyWithinMs = 60_000;

export function startHostProcess(start: HostStart): HostProcess {
  const {command, environment, workingDirectory, socketDirectory, scriptsDirectory, clock} = start;
  const socketPath = join(socketDirectory, `exec-${randomBytes(4).toString('hex')}.sock`);
  const messageSchema = createHostMessageSchema();
  const slots = createSlots(`${socketPath}.slots`);
  const connections = createHostConnections(socketPath);
  const ready = Promise.withResolvers<void>();
  const socketsReady = Promise.withResolvers<string>();
  const pings = new Map<number, () => void>();
  let lastPing = 0;
  let isReady = false;
  let isAsked = false;
  const child = startChild({
    command: [...command, 'script-host', socketPath, scriptsDirectory],
    environment,
    directory: workingDirectory,
    onMessage(message) {
      // A script may find a way to write to this channel; what is not one of our messages is dropped.
      const {data, success} = messageSchema.safeParse(message);
      if (!success) return;
      if (data.type === 'ready') {
        isReady = true;
        ready.resolve();
      } else if (data.type === 'sockets_ready') socketsReady.resolve(`${socketPath}.ws`);
      else if (data.type === 'pong') {
        pings.get(data.ping)?.();
        pings.delete(data.ping);
      } else start.onCallMessage(data);
    },
  });
  const ended = child.exited.then(async (code) => {
    const error = new AppError(
      'SCRIPT_HOST_FAILED',
      `The script host ended with exit code ${code} before it took calls.`,
    );
    ready.reject(error);
    socketsReady.reject(error);
    connections.close();
    slots.close();
    for (const path of [socketPath, `${socketPath}.ws`]) await rm(path, {force: true});
  });
  // Nobody may be waiting for websockets, or for a host that was replaced at once.
  socketsReady.promise.catch(() => {});
  const up = Promise.race([ready.promise, watchSilence(clock, child, ready.promise)]);
  up.catch(() => {});
  return {
    pid: child.pid,
    socketPath,
    connections,
    slots,
    ready: up,
    get isReady() {
      return isReady;
    },
    ended,
    openSockets() {
      if (!isAsked) child.send({type: 'sockets'});
      isAsked = true;
      return socketsReady.promise;
    },
    ping(onPong) {
      lastPing += 1;
      pings.set(lastPing, onPong);
      child.send({type: 'ping', ping: lastPing});
    },
    usage: () => readProcessUsage(child.pid),
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
