import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {type Child, startChild} from '../platform/child-process.ts';
import type {Clock} from '../platform/clock.ts';
import {rm} from '../platform/files.ts';
import {type ProcessUsage, readProcessUsage} from '../platform/process-usage.ts';
import {createSlots, type SlotOwner} from '../platform/slot-owner.ts';
import {connectHost, type HostLink} from './host-link.ts';
import {createHostMessageSchema, type HostMessage, type OrderMessage} from './host-messages.ts';
import type {SharedStateAnswer, SharedStateRequest} from './shared-state.ts';

/** What a host says of a call beside its answer. */
export type CallMessage = Extract<HostMessage, {executionId: string}>;

/** A script host of one generation: one deployment with one set of variables. */
export interface HostProcess {
  readonly pid: number;
  /** Where it takes calls. Throws before it is ready. */
  readonly link: HostLink;
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
  /** Rejects with the signal's reason, or AppError SCRIPT_HOST_FAILED where it ends meanwhile. */
  askSharedState(request: SharedStateRequest, options: {signal: AbortSignal}): Promise<SharedStateAnswer>;
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
  const ready = Promise.withResolvers<void>();
  const socketsReady = Promise.withResolvers<string>();
  const pings = new Map<number, () => void>();
  const asks = new Map<number, PromiseWithResolvers<SharedStateAnswer>>();
  let link: HostLink | null = null;
  let lastPing = 0;
  let lastAsk = 0;
  let isAsked = false;
  const child = startChild({
    command: [...command, 'script-host', socketPath, scriptsDirectory],
    environment,
    directory: workingDirectory,
    onMessage(message) {
      // A script may find a way to write to this channel; what is not one of our messages is dropped.
      const {data, success} = messageSchema.safeParse(message);
      if (!success) return;
      if (data.type === 'ready') void takeCalls();
      else if (data.type === 'shared_state') asks.get(data.ask)?.resolve(data.answer);
      else if (data.type === 'sockets_ready') socketsReady.resolve(`${socketPath}.ws`);
      else if (data.type === 'pong') {
        pings.get(data.ping)?.();
        pings.delete(data.ping);
      } else start.onCallMessage(data);
    },
  });
  const order = (message: OrderMessage) => child.send(message);
  async function takeCalls(): Promise<void> {
    try {
      link = await connectHost(socketPath);
      ready.resolve();
    } catch {
      // Whoever took the place of the runtime at the host's socket, the host is of no use.
      child.kill('SIGKILL');
    }
  }
  const ended = child.exited.then(async (code) => {
    const error = new AppError(
      'SCRIPT_HOST_FAILED',
      `The script host ended with exit code ${code} before it took calls.`,
    );
    ready.reject(error);
    socketsReady.reject(error);
    link?.close();
    for (const ask of asks.values()) ask.reject(error);
    slots.close();
    for (const path of [socketPath, `${socketPath}.ws`]) await rm(path, {force: true});
  });
  // Nobody may be waiting for websockets, or for a host that was replaced at once.
  socketsReady.promise.catch(() => {});
  const up = Promise.race([ready.promise, watchSilence(clock, child, ready.promise)]);
  up.catch(() => {});
  return {
    pid: child.pid,
    get link() {
      if (link === null) throw new Error('The script host takes no calls yet.');
      return link;
    },
    slots,
    ready: up,
    get isReady() {
      return link !== null;
    },
    ended,
    openSockets() {
      if (!isAsked) order({type: 'sockets'});
      isAsked = true;
      return socketsReady.promise;
    },
    ping(onPong) {
      lastPing += 1;
      pings.set(lastPing, onPong);
      order({type: 'ping', ping: lastPing});
    },
    async askSharedState(request, {signal}) {
      lastAsk += 1;
      const id = lastAsk;
      const ask = Promise.withResolvers<SharedStateAnswer>();
      const onAbort = () => ask.reject(signal.reason);
      signal.addEventListener('abort', onAbort, {once: true});
      asks.set(id, ask);
      order({type: 'shared_state', ask: id, request});
      try {
        return await ask.promise;
      } finally {
        signal.removeEventListener('abort', onAbort);
        asks.delete(id);
      }
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
