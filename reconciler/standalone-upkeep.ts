import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {ContainerSettings} from '../schemas/control.ts';
import {type Container, type ContainerProvider, labelNames} from './containers/provider.ts';
import {noCrashes, retryDelayMs, withCrash} from './outcome.ts';
import {createQueue, wasGivenUp} from './queue.ts';
import type {RuntimeClient} from './runtime-client.ts';
import type {StandaloneTable} from './standalone-table.ts';

export interface UpkeepOptions {
  readonly provider: ContainerProvider;
  readonly client: (container: Container) => RuntimeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1). */
  readonly random: () => number;
  readonly settings: ContainerSettings;
  /** Containers that are started at the same time. */
  readonly concurrency: number;
}

/** Value of the label of a container that a person stopped. */
export const stoppedStage = 'stopped';

/** Sees to it that standalone containers run, and that those to be removed go. */
export interface Upkeep {
  /** Looks at every container of the table, and from now on at each that dies. */
  start(): void;
  /** Starts what does not run, hands over the settings of today and lets the schedule go. Doing it twice does no harm. */
  release(id: string, signal: AbortSignal): Promise<void>;
  /** Ends all processes and removes all files at once; what goes wrong is thrown, and tried again with growing pauses. */
  discard(id: string): Promise<void>;
  /** Gives up a start that is under way. */
  cancel(id: string): void;
  close(): Promise<void>;
}

export function createUpkeep(table: StandaloneTable, options: UpkeepOptions): Upkeep {
  const {provider, clock, log, random} = options;
  let stopWatching = () => {};

  const release = async (id: string, signal: AbortSignal): Promise<void> => {
    const container = await provider.start(id, {signal});
    table.change(id, {container, schedule: null});
    const client = options.client(container);
    await client.setEnvironment(
      {revision: null, variables: {}, secrets: {}, settings: options.settings},
      {signal},
    );
    await client.setSchedule({state: 'running', reason: null}, {signal});
    table.change(id, {schedule: 'running'});
  };

  const remove = async (id: string): Promise<void> => {
    table.change(id, {phase: 'stopping'});
    await provider.remove(id);
    table.delete(id);
  };

  const noteCrash = (id: string): number => {
    const crashes = withCrash(table.get(id)?.crashes ?? noCrashes, clock.now());
    table.change(id, {crashes});
    return crashes.count;
  };

  const tryLater = (id: string, error: unknown) => {
    const failures = noteCrash(id);
    log.warn('a standalone container is not as it should be', {id, failures, error});
    queue.addAfter(id, retryDelayMs(failures, random()));
  };

  const work = async (id: string, signal: AbortSignal): Promise<void> => {
    const known = table.get(id);
    const phase = known?.phase;
    // Whoever makes it sees to it.
    if (phase === undefined || phase === 'creating') return;
    if (phase === null && known?.container.labels[labelNames.standalone] === stoppedStage) return;
    try {
      await (phase === 'stopping' ? remove(id) : release(id, signal));
    } catch (error) {
      if (!signal.aborted || wasGivenUp(signal)) tryLater(id, error);
    }
  };

  const queue = createQueue({
    clock,
    concurrency: options.concurrency,
    work,
    onStuck: (id) => log.error('the work on a standalone container hangs; others have its place', {id}),
  });

  const onExit = (id: string) => {
    const known = table.get(id);
    if (known === null || known.phase !== null) return;
    table.change(id, {container: {...known.container, state: 'failed'}, schedule: null});
    const crashes = noteCrash(id);
    log.warn('the runtime of a standalone container died', {id, crashes});
    if (crashes === 1) queue.add(id);
    else queue.addAfter(id, retryDelayMs(crashes, random()));
  };

  return {
    start() {
      stopWatching = provider.watch(({id, type}) => (type === 'exited' ? onExit(id) : queue.add(id)));
      for (const {container} of table.all()) queue.add(container.id);
    },
    release,
    async discard(id) {
      try {
        await remove(id);
      } catch (error) {
        tryLater(id, error);
        throw error;
      }
    },
    cancel: (id) => queue.cancel(id, new Error('the container is to be removed')),
    async close() {
      stopWatching();
      await queue.close();
    },
  };
}
