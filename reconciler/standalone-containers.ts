import {randomBytes} from 'node:crypto';
import type {CreateContainer} from '../schemas/container-api.ts';
import {AppError} from '../schemas/errors.ts';
import type {ContainerFacts} from './branch-view.ts';
import {type Container, labelNames} from './containers/provider.ts';
import {checkStandaloneName} from './standalone-name.ts';
import {createStandaloneTable} from './standalone-table.ts';
import {createUpkeep, stoppedStage, type UpkeepOptions} from './standalone-upkeep.ts';

export interface StandaloneOptions extends UpkeepOptions {
  /** IANA zone of schedules in containers made from now on. */
  readonly timeZone: string;
  readonly stopGraceMs: number;
  /** Rejects with HOST_FULL where no more containers are to be made now. */
  readonly admit: () => Promise<void>;
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
   * Throws INVALID_NAME, NAME_TAKEN, SNAPSHOT_NOT_FOUND, HOST_FULL, PROVIDER_UNAVAILABLE.
   */
  create(request: CreateContainer, options: {signal: AbortSignal}): Promise<ContainerFacts>;
  /** Starts it again after `stop`. Throws CONTAINER_NOT_FOUND, PROVIDER_UNAVAILABLE. */
  resume(idOrName: string): Promise<ContainerFacts>;
  /** Its jobs have `stop_grace` to end; it stays stopped, over restarts of the controller too. Throws CONTAINER_NOT_FOUND. */
  stop(idOrName: string): Promise<ContainerFacts>;
  /** It is not found from here on; resolves when jobs, processes and files are gone. Throws CONTAINER_NOT_FOUND. */
  remove(idOrName: string): Promise<void>;
  /** Gives up what is being made and leaves the others running. */
  close(): Promise<void>;
}

/** Values of the label. Whatever a crash leaves half made or half removed is removed at the next start. */
const stages = {making: 'making', ready: 'ready', stopped: stoppedStage, removing: 'removing'} as const;

export function createStandaloneContainers(options: StandaloneOptions): StandaloneContainers {
  const {provider, log} = options;
  const table = createStandaloneTable();
  const upkeep = createUpkeep(table, options);
  /** Names from the moment they are asked for. */
  const claimed = new Set<string>();
  const making = new Set<Promise<unknown>>();
  const shutdown = new AbortController();

  const make = async (
    name: string,
    {from, data}: Pick<CreateContainer, 'from' | 'data'>,
    signal: AbortSignal,
  ): Promise<ContainerFacts> => {
    const taken = (await provider.list()).some((container) => container.name === name);
    if (taken) throw nameTaken(name);
    await options.admit();
    const container = await provider.create({
      name,
      labels: {[labelNames.standalone]: stages.making},
      timeZone: options.timeZone,
      ...(from === undefined ? {} : {from, withData: data === 'copy'}),
    });
    const {id} = container;
    table.add(container, 'creating');
    try {
      await upkeep.release(id, signal);
      await provider.label(id, {[labelNames.standalone]: stages.ready});
      signal.throwIfAborted();
      const made = table.get(id);
      if (made?.phase !== 'creating') throw notFound(id);
      table.change(id, {phase: null});
      log.info('made a standalone container', {id, name, from: from ?? null});
      return {...made, phase: null};
    } catch (error) {
      await upkeep.discard(id).catch(() => {
        // It is tried again and logged; whoever asked is told why the making failed.
      });
      throw error;
    }
  };

  /** Also while it is stopped. Throws CONTAINER_NOT_FOUND. */
  const present = (idOrName: string) => {
    const known = table.find(idOrName);
    if (known === null || known.phase !== null) throw notFound(idOrName);
    return {...known, id: known.container.id, name: known.container.name};
  };

  return {
    async adopt() {
      for (const container of await provider.list()) {
        const stage = container.labels[labelNames.standalone];
        if (stage === undefined) continue;
        const unfinished = stage === stages.making || stage === stages.removing;
        table.add(container, unfinished ? 'stopping' : null);
      }
    },
    start: () => upkeep.start(),
    list: () => table.all(),
    find(idOrName) {
      const known = table.find(idOrName);
      return known?.phase === null ? known.container : null;
    },
    async create({from, data, name = `container-${randomBytes(6).toString('hex')}`}, {signal}) {
      checkStandaloneName(name);
      if (claimed.has(name)) throw nameTaken(name);
      claimed.add(name);
      const made = make(name, {from, data}, AbortSignal.any([signal, shutdown.signal]));
      making.add(made);
      try {
        return await made;
      } finally {
        making.delete(made);
        claimed.delete(name);
      }
    },
    async resume(idOrName) {
      const {id} = present(idOrName);
      table.change(id, {container: await provider.label(id, {[labelNames.standalone]: stages.ready})});
      await upkeep.release(id, shutdown.signal);
      return present(id);
    },
    async stop(idOrName) {
      const {id, name} = present(idOrName);
      log.info('stopping a standalone container', {id, name});
      table.change(id, {container: await provider.label(id, {[labelNames.standalone]: stages.stopped})});
      upkeep.cancel(id);
      await provider.stop(id, {graceMs: options.stopGraceMs, reason: 'container_stopped'});
      const stopped = (await provider.list()).find((container) => container.id === id);
      if (stopped !== undefined) table.change(id, {container: stopped, schedule: null});
      return present(id);
    },
    async remove(idOrName) {
      const known = table.find(idOrName);
      if (known === null) throw notFound(idOrName);
      const {id, name} = known.container;
      log.info('removing a standalone container', {id, name});
      table.change(id, {phase: 'stopping'});
      upkeep.cancel(id);
      await provider.label(id, {[labelNames.standalone]: stages.removing}).catch((error: unknown) => {
        // A full disk must not keep what fills it from being removed.
        log.warn('the removal of a standalone container is not on record', {id, error});
      });
      await provider
        .stop(id, {graceMs: options.stopGraceMs, reason: 'container_deleted'})
        .catch((error: unknown) => {
          // What could not be asked to end is ended by the removal.
          log.warn('a standalone container could not be stopped', {id, error});
        });
      await upkeep.discard(id);
    },
    async close() {
      shutdown.abort(new AppError('SHUTTING_DOWN', 'The controller stops; ask again when it is back.'));
      await Promise.allSettled(making);
      await upkeep.close();
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
