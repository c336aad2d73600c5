import {createHash} from 'node:crypto';
import {join} from 'node:path';
import * as z from 'zod';
import {
  type EnvironmentChange,
  environmentChangeSchema,
  environmentText,
  plainSettings,
  type ScheduleChange,
  scheduleStateSchema,
} from '../../schemas/control.ts';
import type {ControlEvent} from '../../schemas/control-state.ts';
import {AppError} from '../../schemas/errors.ts';
import {readTextIfPresent, writeFileDurably} from '../platform/durable-file.ts';
import {mkdir} from '../platform/files.ts';
import {createSerialLock} from '../platform/serial-lock.ts';

const stateSchema = z.object({
  schedule: z.object({state: scheduleStateSchema, reason: z.string().nullable()}),
  environment: environmentChangeSchema,
});
type State = z.infer<typeof stateSchema>;

/** What the controller decided about this container; outlives the process. */
export interface Control {
  schedule(): State['schedule'];
  environment(): EnvironmentChange;
  /** SHA-256 over all but the revision: tells a change without telling a value. */
  environmentDigest(): string;
  /** Durable when it resolves. */
  setSchedule(change: ScheduleChange): Promise<void>;
  setEnvironment(change: EnvironmentChange): Promise<void>;
  on(listener: (event: ControlEvent) => void): () => void;
}

/** A new container is `initial`: held under a controller, which releases it when everything is in place. */
export async function openControl({
  directory,
  initial,
}: {
  directory: string;
  initial: ScheduleChange['state'];
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
        }
      : parseState(text, path);
  const inTurn = createSerialLock();

  const save = (change: Partial<State>) =>
    inTurn(async () => {
      const changed = {...state, ...change};
      await writeFileDurably(path, JSON.stringify(changed), {mode: 0o600});
      state = changed;
    });

  return {
    schedule: () => state.schedule,
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
    return stateSchema.parse(JSON.parse(text));
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
