import {AppError} from '../../schemas/errors.ts';
import type {Duct} from '../platform/byte-duct.ts';
import type {Clock} from '../platform/clock.ts';
import type {FarPump} from '../platform/far-pumps.ts';
import {createFinishedTransfers} from './finished-transfers.ts';
import {createPipeMetrics} from './metrics.ts';
import type {JoinOptions, Place, Receiver, Sender, SendOptions} from './parties.ts';
import {createPipeName, type PipeName} from './pipe-name.ts';
import {finalSnapshot, idleSnapshot, type Snapshot} from './snapshot.ts';
import {createSpectators, type Spectator} from './spectators.ts';

/** The pipes of one runtime. Nothing of what passes through is kept. */
export interface PipeService {
  /** Throws AppError where there is no place for it. */
  send(name: string, sender: Sender, options: SendOptions): Place;
  /** Finds out whether a sender that waits on the name is still there; its place is free afterwards if not. */
  probeSender(name: string): Promise<void>;
  /** Throws AppError where there is no place for it. */
  receive(name: string, receiver: Receiver, options: JoinOptions): Place;
  /** Calls back with every change of the name's state. Throws PIPE_CAPACITY or PIPE_KEY_WRONG. Returns how to stop. */
  watch(name: string, key: string | null, spectator: Spectator): () => void;
  /** True where who watches now would only see what has just ended. */
  endedLately(name: string): boolean;
  /** Throws PIPE_TRANSFER_UNKNOWN or PIPE_KEY_WRONG. */
  status(name: string, key: string | null, transferId: string | null): Snapshot;
  metrics(): string;
  /** Takes nobody more and ends who waits; resolves when the running transfers have ended, by themselves or after the grace. */
  stop(options: {graceMs: number}): Promise<void>;
}

const mostWaiting = 1000;
const mostStreaming = 1000;

export function openPipe({
  clock,
  randomId,
  duct = () => null,
  farPump = () => null,
  onUnused = () => {},
}: {
  clock: Clock;
  randomId: () => string;
  /** What moves bytes past this process; null as long as there is none. */
  duct?: () => Duct | null;
  /** What moves them in another process. */
  farPump?: FarPump;
  /** Called each time that nobody is on any name any more. */
  onUnused?: () => void;
}): PipeService {
  const names = new Map<string, PipeName>();
  const finished = createFinishedTransfers(clock);
  const spectators = createSpectators();
  const metrics = createPipeMetrics();
  let isStopping = false;
  let whenUnused = () => {};

  const streaming = () => [...names.values()].filter(({transfer}) => transfer !== null);

  /** The name's, or that of a name which comes into use. */
  function claim(name: string, {key}: JoinOptions): PipeName {
    if (isStopping) throw new AppError('SHUTTING_DOWN', 'The server is stopping. Try again in a moment.');
    const known = names.get(name);
    if (known !== undefined) {
      known.checkKey(key);
      return known;
    }
    // Counted only where it may be too many: with many names that takes a while.
    if (names.size >= mostWaiting && names.size - streaming().length >= mostWaiting)
      throw new AppError('PIPE_CAPACITY', `${mostWaiting} pipes wait already. Try again later.`);
    const made = createPipeName(key, {
      clock,
      duct,
      farPump,
      hasRoomToStart: () => names.size < mostStreaming || streaming().length < mostStreaming,
      changed() {
        if (spectators.has(name)) spectators.tell(name, made.snapshot(), false);
      },
      ended(last, transfer, reason) {
        const isTransfer = transfer !== null || reason !== null;
        names.delete(name);
        if (names.size === 0) {
          whenUnused();
          onUnused();
        }
        if (!isTransfer) {
          spectators.tell(name, idleSnapshot, false);
          return;
        }
        metrics.ended(transfer, reason ?? 'complete');
        const final = finalSnapshot(last, transfer, reason);
        finished.note(name, final);
        spectators.tell(name, final, true);
      },
    });
    return made;
  }

  /** The name is in use from the first party that found a place on it. */
  function join(name: string, options: JoinOptions, enter: (pipe: PipeName) => Place): Place {
    const pipe = claim(name, options);
    const isNew = !names.has(name);
    names.set(name, pipe);
    try {
      return enter(pipe);
    } catch (error) {
      if (isNew) names.delete(name);
      throw error;
    }
  }

  function find(name: string, key: string | null): PipeName | undefined {
    const pipe = names.get(name);
    pipe?.checkKey(key);
    return pipe;
  }

  return {
    send(name, sender, options) {
      const {transferId} = options;
      const id = transferId ?? randomId();
      if (transferId !== null && [...names.values()].some((pipe) => pipe.transferId === id))
        throw new AppError('PIPE_TRANSFER_ID_IN_USE', 'Transfer id already in use.');
      return join(name, options, (pipe) => pipe.send(sender, options, id));
    },
    probeSender: async (name) => names.get(name)?.probeSender(),
    receive: (name, receiver, options) => join(name, options, (pipe) => pipe.receive(receiver, options)),
    watch(name, key, spectator) {
      const pipe = find(name, key);
      const stopWatching = spectators.add(name, spectator);
      spectator(pipe?.snapshot() ?? idleSnapshot, false);
      return stopWatching;
    },
    endedLately: (name) => !names.has(name) && finished.endedLately(name),
    status(name, key, transferId) {
      const now = find(name, key)?.snapshot() ?? idleSnapshot;
      if (transferId === null || now.transferId === transferId) return now;
      const past = finished.find(name, transferId);
      if (past === null)
        throw new AppError(
          'PIPE_TRANSFER_UNKNOWN',
          'No transfer with this id runs or ended within 10 minutes.',
        );
      return past;
    },
    metrics() {
      const running = streaming();
      const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
      return metrics.print({
        waiting: names.size - running.length,
        streaming: running.length,
        receivers: sum([...names.values()].map((pipe) => pipe.snapshot().activeReceivers)),
        spectators: spectators.count,
        bytes: sum(running.map(({transfer}) => transfer?.bytes ?? 0)),
        stalledSeconds: sum(running.map(({transfer}) => transfer?.stalledSeconds ?? 0)),
      });
    },
    async stop({graceMs}) {
      isStopping = true;
      for (const pipe of [...names.values()]) pipe.endWaiting();
      if (names.size === 0) return;
      const unused = new Promise<void>((resolve) => {
        whenUnused = resolve;
      });
      const waiting = new AbortController();
      const grace = clock.sleep(graceMs, {signal: waiting.signal}).catch(() => {
        // All ended before.
      });
      await Promise.race([unused, grace]);
      waiting.abort();
      for (const pipe of [...names.values()]) pipe.endStreaming();
    },
  };
}
