import {readBootId} from '../../../runtime/platform/boot-id.ts';
import type {ContainerLife} from '../container-life.ts';
import {ContainerTable, type Entry, prepareState, requireData} from '../container-table.ts';
import {linkControlSocket} from '../control-socket.ts';
import {watchEngine} from '../engine-watch.ts';
import {prepareAuthority} from '../own-authority.ts';
import type {ContainerProvider, CreateRequest, ResourceLimits, Snapshot, StartOptions} from '../provider.ts';
import {Sightings} from '../sightings.ts';
import {findSnapshot, readSnapshots, saveSnapshot} from '../snapshots.ts';
import {createTableProvider, defaultStartTimeoutMs, type ProviderOptions} from '../table-provider.ts';
import {type DockerRecord, dockerRecordSchema} from './docker-record.ts';
import type {Engine, EngineFacts} from './engine.ts';
import {EngineContainers} from './engine-containers.ts';
import {type EngineLabels, engineLabels} from './engine-labels.ts';
import {Images} from './images.ts';
import {startRuntime} from './runtime-start.ts';

export interface DockerProviderOptions extends ProviderOptions {
  readonly engine: Engine;
  /** Names this state directory in the labels of everything that is made for it: hex digits. */
  readonly owner: string;
  /** What containers without a snapshot are made from; pulled where the engine does not have it. */
  readonly image: string;
  /** `own` for one that only containers of this state directory have, `none`, or the name of one of the engine's. */
  readonly network: string;
}

/**
 * Opens the containers of a state directory that an engine runs, those included that an earlier controller left
 * running. Throws PROVIDER_UNAVAILABLE where the engine does not answer.
 */
export async function createDockerProvider(given: DockerProviderOptions): Promise<ContainerProvider> {
  const options = {...given, stateDirectory: await prepareState(given.stateDirectory)};
  const facts = await options.engine.facts();
  const table = new ContainerTable(options, {provider: 'docker', schema: dockerRecordSchema});
  const life = new DockerLife(options, facts, table);
  await life.open();
  return createTableProvider({table, life, bootId: await readBootId(), log: options.log});
}

type DockerEntry = Entry<DockerRecord>;

class DockerLife implements ContainerLife<DockerRecord> {
  readonly name = 'docker';
  readonly level: string;
  readonly gaps = [];
  readonly nothingRuns = {runtime: null};
  readonly #options: DockerProviderOptions;
  readonly #engine: Engine;
  readonly #facts: EngineFacts;
  readonly #table: ContainerTable<DockerRecord>;
  readonly #labels: EngineLabels;
  readonly #images: Images;
  readonly #containers: EngineContainers;
  readonly #sightings = new Sightings();

  constructor(options: DockerProviderOptions, facts: EngineFacts, table: ContainerTable<DockerRecord>) {
    const {engine, owner, log, clock, network, domain} = options;
    const {runtimeCommand: command, runtimeDirectory: directory} = options;
    this.#options = options;
    this.#engine = engine;
    this.#facts = facts;
    this.#table = table;
    this.level = `${facts.kind}${facts.rootless ? ' rootless' : ''}`;
    this.#labels = engineLabels(owner);
    this.#images = new Images({engine, owner, labels: this.#labels, log});
    this.#containers = new EngineContainers({
      engine,
      rootless: facts.rootless,
      labels: this.#labels,
      images: this.#images,
      table,
      program: {command, directory},
      network,
      domain,
      clock,
      log,
    });
  }

  async open(): Promise<void> {
    await this.#table.open(async (entry) => {
      const found = await this.#containers.find(entry);
      if (found !== null) await this.#engine.unpause(found.id);
    });
    await this.#containers.removeOrphans();
    await this.look();
    await this.tidy();
  }

  create(request: CreateRequest): Promise<DockerEntry> {
    return this.#table.create(request, async (record) => {
      const {from} = request;
      const snapshot = from === undefined ? null : await findSnapshot(this.#table.snapshots, from);
      const image = snapshot?.image ?? this.#options.image;
      await this.#images.require(image);
      return {...record, provider: 'docker', image, made_limits: null, runtime: null};
    });
  }

  async look(): Promise<void> {
    const asked = this.#sightings.ask();
    const listed = await this.#engine.listContainers(this.#labels.filter);
    const running = new Set(
      listed.filter((each) => each.running).map(({labels}) => this.#labels.containerIdOf(labels)),
    );
    for (const {record} of this.#table.entries())
      if (this.#sightings.counts(record.id, asked)) this.#sightings.answer(record.id, running.has(record.id));
  }

  async lookAt(entry: DockerEntry): Promise<boolean> {
    return (await this.#containers.find(entry))?.running ?? false;
  }

  async arrive(entry: DockerEntry, {makeData = false}: StartOptions): Promise<boolean> {
    const runs = await this.lookAt(entry);
    this.#sightings.note(entry.record.id, runs);
    if (!this.isUp(entry)) await requireData(entry, makeData);
    return runs;
  }

  isUp({record}: DockerEntry): boolean {
    return record.runtime !== null && this.#sightings.isRunning(record.id);
  }

  async prepare({paths}: DockerEntry): Promise<Partial<DockerRecord>> {
    await prepareAuthority(paths, this.#options);
    return {};
  }

  async run(entry: DockerEntry, {signal}: {signal: AbortSignal}): Promise<Partial<DockerRecord>> {
    const {clock, startTimeoutMs: timeoutMs = defaultStartTimeoutMs} = this.#options;
    const id = await this.#containers.ensure(entry);
    signal.throwIfAborted();
    const {record, paths} = entry;
    const ready = await startRuntime({engine: this.#engine, record, id, clock, timeoutMs, signal});
    await linkControlSocket(record.name, paths);
    this.#sightings.noteStart(record.id);
    return {runtime: {kit_url: ready.kitUrl, runtime_version: ready.runtimeVersion}};
  }

  async stop(entry: DockerEntry, grace: {graceMs: number; signal: AbortSignal}): Promise<void> {
    const found = grace.graceMs > 0 ? await this.#containers.find(entry) : null;
    if (found?.running) await this.#containers.askToStop(found, grace);
    await this.end(entry);
  }

  async end(entry: DockerEntry): Promise<void> {
    await this.#containers.end(entry);
    this.#sightings.note(entry.record.id, false);
  }

  discard(entry: DockerEntry): Promise<void> {
    return this.#containers.discard(entry);
  }

  async limit(entry: DockerEntry, limits: ResourceLimits): Promise<void> {
    const found = await this.#containers.find(entry);
    if (found?.running) await this.#engine.limit(found.id, limits);
  }

  async save(entry: DockerEntry, snapshot: Snapshot): Promise<void> {
    const found = await this.#containers.find(entry);
    const keep = (image: string) =>
      saveSnapshot(this.#table.snapshots, {...snapshot, image, instances: null}, entry.paths);
    const work = () => (found === null ? keep(entry.record.image) : this.#images.commit(found.id, keep));
    if (!found?.running) return await work();
    const freeze = () =>
      this.#engine.pause(found.id).catch((error: unknown) => {
        // Without cgroups of its own a rootless engine cannot: such a snapshot is of files in motion.
        this.#options.log.warn('a container could not be paused for its snapshot', {
          id: entry.record.id,
          error,
        });
      });
    await this.#table.whileFrozen(entry, {freeze, thaw: () => this.#engine.unpause(found.id)}, work);
  }

  async removed(id: string): Promise<void> {
    this.#sightings.forget(id);
    await this.tidy();
  }

  async tidy(): Promise<void> {
    try {
      const snapshots = await readSnapshots(this.#table.snapshots);
      const entries = this.#table.entries();
      await this.#images.tidy([
        ...snapshots.map(({image}) => image),
        ...entries.map(({record}) => record.image),
      ]);
      const {resourceName, filter} = this.#labels;
      if (entries.length === 0) await this.#engine.removeNetwork(resourceName, filter);
    } catch (error) {
      // The work that was asked for is done; what is left is looked for again at the next one.
      this.#options.log.warn('what is no longer needed could not be removed from the container engine', {
        error,
      });
    }
  }

  runtimeOf({runtime}: DockerRecord): DockerRecord['runtime'] {
    return runtime;
  }

  lacks(): EngineFacts['unenforced'] {
    return this.#facts.unenforced;
  }

  startedAt(): undefined {
    return undefined;
  }

  watch(signal: AbortSignal): void {
    const {clock, log, watchIntervalMs: intervalMs} = this.#options;
    const engine = this.#engine;
    const {filter} = this.#labels;
    watchEngine(
      {
        engine: 'the container engine',
        address: engine.address,
        async *changes(listening) {
          const changes = await engine.changes(filter, listening);
          yield;
          yield* changes;
        },
        look: async () => {
          await this.look();
          this.#table.reportEnds((entry) => this.isUp(entry));
        },
        clock,
        log,
        intervalMs,
      },
      signal,
    );
  }

  close(): void {
    this.#containers.close();
  }
}
