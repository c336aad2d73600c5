import {join} from 'node:path';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {kindOf, replaceLink} from '../../../runtime/platform/directories.ts';
import {writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerRecord} from '../container-record.ts';
import type {ContainerTable, Entry} from '../container-table.ts';
import {
  capabilities,
  commandInside,
  inside,
  kitNames,
  placesInside,
  type RuntimeProgram,
  runtimeArguments,
  runtimeEnvironment,
  secureArguments,
} from '../inside.ts';
import {labelNames} from '../provider.ts';
import type {DockerRecord} from './docker-record.ts';
import type {ContainerSpec, Engine, EngineContainer} from './engine.ts';
import {type EngineLabels, specDigest} from './engine-labels.ts';
import type {Images} from './images.ts';

export interface EngineContainersOptions {
  readonly engine: Engine;
  readonly rootless: boolean;
  readonly labels: EngineLabels;
  readonly images: Images;
  readonly table: ContainerTable<DockerRecord>;
  readonly program: RuntimeProgram;
  /** As in the options of the provider. */
  readonly network: string;
  readonly domain: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

type DockerEntry = Entry<DockerRecord>;

const endTimeoutMs = 10_000;
const retryMs = 50;
const programLinkName = 'program';

/** The container of the engine that each of ours has: how it is made, found, ended and removed. */
export class EngineContainers {
  readonly #options: EngineContainersOptions;
  readonly #engine: Engine;
  readonly #closed = new AbortController();

  constructor(options: EngineContainersOptions) {
    this.#options = options;
    this.#engine = options.engine;
  }

  /** Null where there is none. Throws NAME_TAKEN where one of that name is not ours. */
  async find({record}: DockerEntry): Promise<EngineContainer | null> {
    const name = engineName(record);
    const found = await this.#engine.findContainer(name);
    if (found === null || this.#options.labels.containerIdOf(found.labels) === record.id) return found;
    throw new AppError(
      'NAME_TAKEN',
      `The container ${name} of the engine at ${this.#engine.address} was not made by this state directory. Rename or remove it.`,
    );
  }

  /** Made where there is none, or where it is to be made in another way than before; its id. */
  async ensure(entry: DockerEntry): Promise<string> {
    const {table, program, labels, images, network} = this.#options;
    // A container of the engine keeps the arguments it was made with, so that this one comes in a file.
    await writeFileDurably(join(entry.paths.run, 'boot'), entry.record.boot_mark);
    await replaceLink(program.directory, join(entry.paths.directory, programLinkName));
    const found = await this.find(entry);
    const base = this.#spec(entry);
    const digest = specDigest(base);
    if (found !== null && labels.specOf(found.labels) === digest) return found.id;
    if (found !== null) {
      // For example with a runtime elsewhere. Its files are kept.
      await images.commit(found.id, (image) => table.save(entry, {image}));
      await this.#engine.remove(found.id);
    }
    const {record} = entry;
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const image = await images.require(record.image);
    if (network === 'own') await this.#engine.ensureNetwork(labels.resourceName, labels.ofAll);
    const id = await this.#engine.createContainer(engineName(record), {
      ...base,
      image: image.id,
      env: {...base.env, ...(image.path === null ? {} : {PATH: image.path})},
      labels: {...labels.ofContainer(record.id, digest), ...wordsForPeople(record)},
      limits: {cpus, memoryBytes},
    });
    await table.save(entry, {made_limits: record.limits});
    return id;
  }

  /** Asks the first program to stop and waits for its end, at most `graceMs` and until the signal aborts. */
  async askToStop(
    {id}: EngineContainer,
    {graceMs, signal}: {graceMs: number; signal: AbortSignal},
  ): Promise<void> {
    await this.#engine.unpause(id);
    if (await this.#engine.kill(id, 'SIGTERM')) await this.#waitForEnd(id, {timeoutMs: graceMs, signal});
  }

  /** Ends every process of the container: with its first one the kernel ends them all. */
  async end(entry: DockerEntry): Promise<void> {
    const found = await this.find(entry);
    if (found?.running !== true) return;
    await this.#engine.kill(found.id, 'SIGKILL');
    // Some engines let nothing that is paused end.
    if (found.paused) await this.#engine.unpause(found.id);
    await this.#waitForEnd(found.id, {timeoutMs: endTimeoutMs, signal: this.#closed.signal});
    if ((await this.#engine.findContainer(found.id))?.running) throw this.#endless(entry);
  }

  async discard(entry: DockerEntry): Promise<void> {
    const {clock} = this.#options;
    const untilMs = clock.now() + endTimeoutMs;
    for (;;) {
      const found = await this.find(entry);
      if (found === null) return;
      if (clock.now() > untilMs) throw this.#endless(entry);
      await this.#engine.unpause(found.id);
      await this.#engine.remove(found.id);
      if ((await this.find(entry)) !== null) await clock.sleep(retryMs);
    }
  }

  /** Removes those that are ours and of which nothing is known any more. */
  async removeOrphans(): Promise<void> {
    const {labels, table, log} = this.#options;
    for (const {id, labels: given} of await this.#engine.listContainers(labels.filter)) {
      const known = labels.containerIdOf(given);
      // A directory whose record cannot be read may still be mended by a person.
      if (known !== null && (await kindOf(join(table.directory, known))) !== null) continue;
      log.info('removing a container of the engine that belongs to nothing', {id});
      await this.#engine.unpause(id);
      await this.#engine.remove(id);
    }
  }

  close(): void {
    this.#closed.abort();
  }

  #spec({record, paths}: DockerEntry): ContainerSpec {
    const {program, network, domain, labels} = this.#options;
    const mount = (source: string, target: string, readOnly = false) => ({source, target, readOnly});
    return {
      image: record.image,
      command: [
        ...commandInside(program),
        ...runtimeArguments(record, placesInside, '127.0.0.1', domain),
        ...secureArguments('127.0.0.1', domain),
        ...['--boot-file', `${inside.run}/boot`],
      ],
      env: runtimeEnvironment(record),
      user: this.#user(),
      workingDirectory: inside.store,
      hostName: record.name,
      labels: {},
      mounts: [
        mount(paths.data, inside.data),
        mount(paths.workspace, inside.workspace),
        mount(paths.store, inside.store),
        mount(paths.run, inside.run),
        // A link, so that each start takes the runtime of its controller.
        mount(`${paths.directory}/${programLinkName}`, inside.runtimeDirectory, true),
      ],
      localNames: kitNames(domain),
      network: network === 'own' ? labels.resourceName : network,
      capabilities,
      limits: {cpus: null, memoryBytes: null},
    };
  }

  /** Whoever owns the files: an engine that runs as root would leave some that an ordinary user cannot remove. */
  #user(): string {
    const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];
    return this.#options.rootless || uid === 0 ? '0:0' : `${uid}:${gid}`;
  }

  #endless({record}: DockerEntry): AppError {
    return new AppError(
      'PROVIDER_UNAVAILABLE',
      `The container ${engineName(record)} of the engine at ${this.#engine.address} does not end. Look at it there.`,
    );
  }

  async #waitForEnd(
    id: string,
    {timeoutMs, signal}: {timeoutMs: number; signal: AbortSignal},
  ): Promise<void> {
    const over = new AbortController();
    const timer = this.#options.clock.sleep(timeoutMs, {signal: over.signal}).then(
      () => over.abort(),
      () => {
        // The wait was over first.
      },
    );
    await this.#engine.wait(id, {signal: AbortSignal.any([over.signal, signal])});
    over.abort();
    await timer;
  }
}

/** As it stands in the engine's own list. */
function engineName({name, id}: ContainerRecord): string {
  return `branchtab-${name}-${id.slice(0, 8)}`;
}

/** What `docker ps` can be asked for. */
function wordsForPeople({name, labels}: ContainerRecord): Record<string, string> {
  const told = [labelNames.repository, labelNames.path, labelNames.branch];
  return {
    'branchtab.name': name,
    ...Object.fromEntries(told.flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]]]))),
  };
}
