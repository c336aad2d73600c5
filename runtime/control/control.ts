import {createHash} from 'node:crypto';
import {join} from 'node:path';
import * as z from 'zod';
import {
  createEnvironmentChangeSchema,
  type EnvironmentChange,
  environmentText,
  type LeaseChange,
  plainSettings,
  type ScheduleChange,
  type ScheduleGate,
  scheduleStateSchema,
} from '../../schemas/control.ts';
import type {ControlEvent, ControlState} from '../../schemas/control-state.ts';
import {AppError, isStorageFull} from '../../schemas/errors.ts';
import type {Clock} from '../platform/clock.ts';
import {readTextIfPresent, writeFileDurably} from '../platform/durable-file.ts';
import {mkdir} from '../platform/files.ts';
import type {Log} from '../platform/log.ts';
import {createSerialLock} from '../platform/serial-lock.ts';

const createStateSchema = () =>
  z.object({
    schedule: z.object({state: scheduleStateSchema, reason: z.string().nullable()}),
    environment: createEnvironmentChangeSchema(),
    lease: z
      .object({duration_ms: z.int(), expires_ms: z.number(), expired: z.boolean()})
      .nullable()
      .default(null),
  });
type State = z.infer<ReturnType<typeof createStateSchema>>;

/** What the controller decided about this container; outlives the process. */
export interface Control {
  schedule(): State['schedule'];
  /** What decides whether due jobs start. */
  gate(): ScheduleGate;
  lease(): ControlState['lease'];
  environment(): EnvironmentChange;
  /** SHA-256 over all but the revision: tells a change without telling a value. */
  environmentDigest(): string;
  /** Durable when it resolves. */
  setSchedule(change: ScheduleChange): Promise<void>;
  /** Holds at once, also where a full disk keeps it from being durable. */
  setLease(change: LeaseChange): Promise<void>;
  setEnvironment(change: EnvironmentChange): Promise<void>;
  on(listener: (event: ControlEvent) => void): () => void;
}

/**
 * A new container is `initial`: held under a controller, which releases it when everything is in place. A lease is
 * counted by the monotonic clock: setting the wall clock neither prolongs nor shortens it. Only what passed while no
 * runtime was there is taken from the wall clock, and never makes a lease longer than it was given.
 */
export async function openControl({
  directory,
  initial,
  clock,
  log,
}: {
  directory: string;
  initial: ScheduleChange['state'];
  clock: Clock;
  log: Log;
}): Promise<Control> {
  await mkdir(directory, {recursive: true, mode: 0o700});
  const path = join(directory, 'state.json');
  const text = await readTextIfPresent(path);
  const listeners = new Set<(event: ControlEvent) => void>();
  let state: State =
    text === null
      ? {
          schedule: {state: initial, reason: null},
          environment: {revision: null, variables: {}, secrets: {}, settings: plainSettings},
          lease: null,
        }
      : parseState(text, path);
  const inTurn = createSerialLock();

  const save = (change: Partial<State>) =>
    inTurn(async () => {
      await writeFileDurably(path, JSON.stringify({...state, ...change}), {mode: 0o600});
      state = {...state, ...change};
    });

  const gate = (): ScheduleGate =>
    state.schedule.state === 'running' && state.lease?.expired === true
      ? 'lease_expired'
      : state.schedule.state;

  const setLease = async (lease: State['lease']) => {
    const before = gate();
    state = {...state, lease};
    if (gate() !== before) {
      const told = lease?.expired === true ? 'paused' : state.schedule.state;
      for (const listener of listeners) listener({type: 'schedule_changed', state: told});
    }
    try {
      // What is in memory by then: of two leases the newer one.
      await save({});
    } catch (error) {
      if (!isStorageFull(error)) throw error;
      log.warn('a lease is not on disk, which is full; it holds until the runtime ends', {error});
    }
  };

  let countdown = new AbortController();
  /** Starts anew with every lease. */
  const count = (leftMs: number) => {
    countdown.abort();
    countdown = new AbortController();
    const {signal} = countdown;
    clock.sleep(leftMs, {signal}).then(
      async () => {
        const {lease} = state;
        if (lease === null || signal.aborted) return;
        log.warn('the lease ran out: no controller has renewed it, and no job starts until one does');
        await setLease({...lease, expired: true}).catch((error: unknown) =>
          log.error('that a lease ran out could not be written down', {error}),
        );
      },
      () => {
        // A newer lease is counted.
      },
    );
  };
  const {lease: found} = state;
  if (found !== null && !found.expired)
    count(Math.min(Math.max(found.expires_ms - clock.now(), 0), found.duration_ms));

  return {
    schedule: () => state.schedule,
    gate,
    lease() {
      const {lease} = state;
      if (lease === null) return null;
      const {duration_ms, expires_ms, expired} = lease;
      return {duration_ms, expires_at: new Date(expires_ms).toISOString(), expired};
    },
    async setLease({duration_ms}) {
      if (duration_ms === null) {
        countdown.abort();
        return setLease(null);
      }
      count(duration_ms);
      return setLease({duration_ms, expires_ms: clock.now() + duration_ms, expired: false});
    },
    environment: () => state.environment,
    environmentDigest: () => createHash('sha256').update(environmentText(state.environment)).digest('hex'),
    async setSchedule({state: scheduleState, reason}) {
      await save({schedule: {state: scheduleState, reason}});
      for (const listener of listeners) listener({type: 'schedule_changed', state: scheduleState});
    },
    setEnvironment: (environment) => save({environment}),
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function parseState(text: string, path: string): State {
  try {
    return createStateSchema().parse(JSON.parse(text));
  } catch (error) {
    throw new AppError(
      'STATE_UNREADABLE',
      `${path} is damaged. Restore it, or remove it to start held and without variables.`,
      {
        cause: error,
      },
    );
  }
}
