import {randomBytes} from 'node:crypto';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {CreateContainer} from '../schemas/container-api.ts';
import type {ContainerSettings} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import type {ContainerFacts} from './branch-view.ts';
import {type Container, type ContainerProvider, labelNames} from './containers/provider.ts';
import {type Crashes, noCrashes, retryDelayMs, withCrash} from './outcome.ts';
import {createQueue} from './queue.ts';
import type {RuntimeClient} from './runtime-client.ts';
import {checkStandaloneName} from './standalone-name.ts';

export interface StandaloneOptions {
  readonly provider: ContainerProvider;
  readonly client: (container: Container) => RuntimeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1). */
  readonly random: () => number;
  readonly settings: ContainerSettings;
  /** IANA zone of schedules in containers made from now on. */
  readonly timeZone: string;
  /** Containers that are started at the same time. */
  readonly concurrency: number;
  readonly stopGraceMs: number;
}

/** Containers that people made: no branch owns them, and the loop never touches them. Errors are AppErrors. */
export interface StandaloneContainers {
  /** Finds those of an earlier controller; what runs is reached from here on. */
  adopt(): Promise<void>;
  /** Starts those that do not run, now and whenever one dies. */
  start(): void;
  /** Oldest first, those included that are being made or removed. */
  list(): readonly ContainerFacts[];
  /** By id or name; null also while it is being made or removed. */
  find(idOrName: string): Container | null;
  /**
   * Resolves when its kits answer and its schedule runs. Whatever fails, and where the signal aborts, nothing is left.
   * Throws INVALID_NAME, NAME_TAKEN, SNAPSHOT_NOT_FOUND, PROVIDER_UNAVAILABLE.
   */
  create(request: CreateContainer, options: {signal: AbortSignal}): Promise<ContainerFacts>;
  /** It is not found from here on; resolves when jobs, processes and files are gone. Throws CONTAINER_NOT_FOUND. */
  remove(idOrName: string): Promise<void>;
  /** Gives up what is being made and leaves the others running. */
  close(): Promise<void>;
}

/** Values of the label. Whatever a crash leaves half made or half removed is removed at the next start. */
const stages = {making: 'making', ready: 'ready', removing: 'removing'} as const;

interface Standalone extends ContainerFacts {
  readonly crashes: Crashes;
}

export function createStandaloneContainers(options: StandaloneOptions): StandaloneContainers {
  const {provider, clock, log} = options;
  const containers = new Map<string, Standalone>();
  /** Names from the moment they are asked for. */
  const claimed = new Set<string>();
  const making = new Set<Promise<unknown>>();
  const shutdown = new AbortController();
  let stopWatching = () => {};

  const change = (id: string, changed: Partial<Standalone>) => {
    const known = containers.get(id);
    if (known !== undefined) containers.set(id, {...known, ...changed});
  };

  const find = (idOrName: string): Standalone | null =>
    containers.get(idOrName) ??
    [...containers.values()].find(({container}) => container.name === idOrName) ??
    null;

  /** Starts what does not run, hands over the settings of today and lets the schedule go. Doing it twice does no harm. */
  const release = async (id: string, signal: AbortSignal): Promise<void> => {
    const container = await provider.start(id, {signal});
    change(id, {container, schedule: null});
    const client = options.client(container);
    await client.setEnvironment({revision: null, variables: {}, settings: options.settings}, {signal});
    await client.setSchedule({state: 'running', reason: null}, {signal});
    change(id, {schedule: 'running'});
  };

  const discard = async (id: string): Promise<void> => {
    change(id, {phase: 'stopping'});
    await provider.remove(id);
    containers.delete(id);
  };

  const noteCrash = (id: string): number => {
    const crashes = withCrash(containers.get(id)?.crashes ?? noCrashes, clock.now());
    change(id, {crashes});
    return crashes.count;
  };

  const work = async (id: string, signal: AbortSignal): Promise<void> => {
    const known = containers.get(id);
    if (known === undefined || known.phase === 'creating') return;
    try {
      if (known.phase === 'stopping') await discard(id);
      else await release(id, signal);
    } catch (error) {
      if (signal.aborted) return;
      const failures = noteCrash(id);
      log.warn('a standalone container is not as it should be', {id, failures, error});
      queue.addAfter(id, retryDelayMs(failures, options.random()));
    }
  };

  const queue = createQueue({clock, concurrency: options.concurrency, work});

  const onExit = (id: string) => {
    const known = containers.get(id);
    if (known === undefined || known.phase !== null) return;
    change(id, {container: {...known.container, state: 'failed'}, schedule: null});
    const crashes = noteCrash(id);
    log.warn('the runtime of a standalone container died', {id, crashes});
    if (crashes === 1) queue.add(id);
    else queue.addAfter(id, retryDelayMs(crashes, options.random()));
  };

  const make = async (name: string, from: string | undefined, signal: AbortSignal): Promise<Standalone> => {
    const taken = (await provider.list()).some((container) => container.name === name);
    if (taken) throw nameTaken(name);
    const container = await provider.create({
      name,
      labels: {[labelNames.standalone]: stages.making},
      timeZone: options.timeZone,
      ...(from === undefined ? {} : {from}),
    });
    const {id} = container;
    containers.set(id, {container, phase: 'creating', schedule: null, crashes: noCrashes});
    try {
      await release(id, signal);
      await provider.label(id, {[labelNames.standalone]: stages.ready});
      signal.throwIfAborted();
      const made = containers.get(id);
      if (made?.phase !== 'creating') throw notFound(id);
      change(id, {phase: null});
      log.info('made a standalone container', {id, name, from: from ?? null});
      return {...made, phase: null};
    } catch (error) {
      await discard(id).catch((cause: unknown) => {
        log.warn('a container that could not be made is still to be removed', {id, error: cause});
        queue.addAfter(id, retryDelayMs(1, options.random()));
      });
      throw error;
    }
  };

  return {
    async adopt() {
      for (const container of await provider.list()) {
        const stage = container.labels[labelNames.standalone];
        if (stage === undefined) continue;
        const unfinished = stage === stages.making || stage === stages.removing;
        const phase = unfinished ? 'stopping' : null;
        containers.set(container.id, {container, phase, schedule: null, crashes: noCrashes});
      }
    },
    start() {
      stopWatching = provider.watch(({id}) => onExit(id));
      for (const id of containers.keys()) queue.add(id);
    },
    list: () =>
      [...containers.values()].sort((a, b) => (a.container.createdAt < b.container.createdAt ? -1 : 1)),
    find(idOrName) {
      const known = find(idOrName);
      return known?.phase === null ? known.container : null;
    },
    async create({from, name = `container-${randomBytes(6).toString('hex')}`}, {signal}) {
      checkStandaloneName(name);
      if (claimed.has(name)) throw nameTaken(name);
      claimed.add(name);
      const made = make(name, from, AbortSignal.any([signal, shutdown.signal]));
      making.add(made);
      try {
        return await made;
      } finally {
        making.delete(made);
        claimed.delete(name);
      }
    },
    async remove(idOrName) {
      const known = find(idOrName);
      if (known === null) throw notFound(idOrName);
      const {id, name} = known.container;
      change(id, {phase: 'stopping'});
      queue.cancel(id, new Error('the container is removed'));
      log.info('removing a standalone container', {id, name});
      try {
        await provider.label(id, {[labelNames.standalone]: stages.removing}).catch((error: unknown) => {
          // A full disk must not keep what fills it from being removed.
          log.warn('the removal of a standalone container is not on record', {id, error});
        });
        await provider.stop(id, {graceMs: options.stopGraceMs, reason: 'container_deleted'});
        await discard(id);
      } catch (error) {
        queue.addAfter(id, retryDelayMs(1, options.random()));
        throw error;
      }
    },
    async close() {
      shutdown.abort(new AppError('SHUTTING_DOWN', 'The controller stops; ask again when it is back.'));
      stopWatching();
      await Promise.allSettled(making);
      await queue.close();
    },
  };
}

function nameTaken(name: string): AppError {
  return new AppError(
    'NAME_TAKEN',
    `There is a container ${name} already. Delete it or choose another name.`,
  );
}

function notFound(idOrName: string): AppError {
  return new AppError(
    'CONTAINER_NOT_FOUND',
    `There is no container ${JSON.stringify(idOrName.slice(0, 64))}; \`branchtab containers list\` shows them.`,
  );
}
