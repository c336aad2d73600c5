import {randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {readBootId} from '../../../runtime/platform/boot-id.ts';
import {kindOf, replaceLink} from '../../../runtime/platform/directories.ts';
import {writeFileDurably} from '../../../runtime/platform/durable-file.ts';
import {
  listProcesses,
  namespacePids,
  readProcess,
  withDescendants,
} from '../../../runtime/platform/processes.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {ContainerRecord} from '../container-record.ts';
import {
  ContainerTable,
  type Entry,
  nextBootMark,
  prepareState,
  requireData,
  stopAsked,
  type TableOptions,
} from '../container-table.ts';
import {linkControlSocket} from '../control-socket.ts';
import {
  capabilities,
  commandInside,
  inside,
  kitNames,
  parseReadyLine,
  placesInside,
  type ReadyRuntime,
  runtimeArguments,
  runtimeEnvironment,
} from '../inside.ts';
import type {
  Container,
  ContainerEvent,
  ContainerProvider,
  CreateRequest,
  Reach,
  ResourceLimits,
  Snapshot,
  StartOptions,
} from '../provider.ts';
import {labelNames} from '../provider.ts';
import {findSnapshot, readSnapshots, saveSnapshot} from '../snapshots.ts';
import {type DockerRecord, dockerRecordSchema} from './docker-record.ts';
import type {ContainerSpec, Engine, EngineContainer, EngineFacts, EngineImage, Output} from './engine.ts';
import {engineLabels, imageLabels, specDigest} from './engine-labels.ts';
import {requireGlibcInImage} from './image-glibc.ts';
import {type HeardRuntime, hearRuntime} from './runtime-output.ts';

export interface DockerProviderOptions extends TableOptions {
  readonly engine: Engine;
  /** Names this state directory in the labels of everything that is made for it: hex digits. */
  readonly owner: string;
  /** Starts a runtime when `runtime --data ...` is appended; see runtime-binary.ts. */
  readonly runtimeCommand: readonly string[];
  /** Directory of the files that `runtimeCommand` names; containers see it read-only. */
  readonly runtimeDirectory: string;
  /** What containers without a snapshot are made from; pulled where the engine does not have it. */
  readonly image: string;
  /** `own` for one that only containers of this state directory have, `none`, or the name of one of the engine's. */
  readonly network: string;
  /** How long a runtime may take until it is ready. */
  readonly startTimeoutMs?: number;
  /** After this the engine is asked for its events again when they ended. */
  readonly watchIntervalMs?: number;
}

type DockerEntry = Entry<DockerRecord>;

const endTimeoutMs = 10_000;
const retryMs = 50;
const settleMs = 100;
const attachPauseMs = 50;
const mostAttachTries = 40;
const defaultWatchIntervalMs = 2_000;
const intervalsOfSweep = 5;

/**
 * Opens the containers of a state directory that an engine runs, those included that an earlier controller left
 * running. Throws PROVIDER_UNAVAILABLE where the engine does not answer.
 */
export async function createDockerProvider(options: DockerProviderOptions): Promise<ContainerProvider> {
  const stateDirectory = await prepareState(options.stateDirectory);
  const facts = await options.engine.facts();
  const provider = new DockerProvider({...options, stateDirectory}, facts, await readBootId());
  await provider.open();
  return provider;
}

class DockerProvider implements ContainerProvider {
  readonly name = 'docker';
  readonly level: string;
  readonly gaps: readonly Reach[] = [];
  readonly #options: DockerProviderOptions;
  readonly #engine: Engine;
  readonly #facts: EngineFacts;
  readonly #bootId: string;
  readonly #table: ContainerTable<DockerRecord>;
  readonly #labels: ReturnType<typeof engineLabels>;
  readonly #closed = new AbortController();
  /** Which containers the engine ran when it was last asked, by our id. */
  readonly #running = new Set<string>();
  /** When we changed that ourselves; an older answer of the engine does not count. */
  readonly #changedAt = new Map<string, number>();
  #step = 0;
  readonly #usableImages = new Set<string>();
  /** Images on their way into a snapshot. */
  readonly #committed = new Set<string>();
  #watchLoop: AbortController | null = null;

  constructor(options: DockerProviderOptions, facts: EngineFacts, bootId: string) {
    this.#options = options;
    this.#engine = options.engine;
    this.#facts = facts;
    this.#bootId = bootId;
    this.level = `${facts.kind}${facts.rootless ? ' rootless' : ''}`;
    this.#labels = engineLabels(options.owner);
    this.#table = new ContainerTable(options, {provider: 'docker', schema: dockerRecordSchema});
  }

  async open(): Promise<void> {
    await this.#table.open(async (entry) => {
      const found = await this.#find(entry);
      if (found !== null) await this.#engine.unpause(found.id);
      await this.#table.save(entry, {frozen: false});
    });
    await this.#removeOrphans();
    await this.#observe();
    await this.#tidy();
  }

  async list(): Promise<Container[]> {
    await this.#observe();
    return this.#table.entries().map((entry) => this.#view(entry));
  }

  async create(request: CreateRequest): Promise<Container> {
    const entry = await this.#table.create(request, (record) => this.#newRecord(record, request.from));
    return this.#view(entry);
  }

  async start(id: string, options: StartOptions = {}): Promise<Container> {
    const {signal, makeData = false} = options;
    return await this.#table.change(id, async (entry) => {
      signal?.throwIfAborted();
      const found = await this.#find(entry);
      this.#note(entry, found?.running ?? false);
      if (!this.#isUp(entry)) {
        await requireData(entry, makeData);
        await this.#start(entry, options);
      }
      return this.#view(entry);
    });
  }

  async stop(id: string, {graceMs, reason}: {graceMs: number; reason: string}): Promise<void> {
    const entry = this.#table.known(id);
    entry.starting?.abort(stopAsked(entry));
    await entry.turn(async () => {
      const found = await this.#find(entry);
      const isQuiet = entry.record.wanted === 'stopped' && entry.record.runtime === null;
      if (isQuiet && found?.running !== true) return;
      this.#options.log.info('stopping container', {id, name: entry.record.name, reason, grace_ms: graceMs});
      await this.#table.saveEnd(entry, {wanted: 'stopped'});
      if (found?.running && graceMs > 0) {
        const waiting = new AbortController();
        entry.waiting = waiting;
        await this.#engine.unpause(found.id);
        if (await this.#engine.kill(found.id, 'SIGTERM'))
          await this.#waitForEnd(found.id, {timeoutMs: graceMs, signal: waiting.signal});
        entry.waiting = null;
      }
      await this.#end(entry);
      await this.#table.saveEnd(entry, {runtime: null});
    });
  }

  async remove(id: string): Promise<void> {
    const image = this.#table.find(id)?.record.image;
    await this.#table.remove(id, async (entry) => {
      await this.#table.saveEnd(entry, {wanted: 'stopped'});
      await this.#discard(entry);
    });
    if (image === undefined) return;
    this.#running.delete(id);
    this.#changedAt.delete(id);
    await this.#tidy();
  }

  async limit(id: string, {cpus, memoryBytes}: ResourceLimits): Promise<Container> {
    return await this.#table.change(id, async (entry) => {
      await this.#table.save(entry, {limits: {cpus, memory_bytes: memoryBytes}});
      const found = await this.#find(entry);
      if (found?.running) await this.#engine.limit(found.id, {cpus, memoryBytes});
      return this.#view(entry);
    });
  }

  async label(id: string, labels: Readonly<Record<string, string | null>>): Promise<Container> {
    return await this.#table.change(id, async (entry) => {
      await this.#table.save(entry, {labels: this.#table.labelsWith(entry, labels)});
      return this.#view(entry);
    });
  }

  async snapshot(id: string, name: string): Promise<Snapshot> {
    const snapshot = await this.#table.change(id, async (entry) => {
      const found = await this.#find(entry);
      const made = {name, containerId: id, createdAt: this.#table.timestamp()};
      await this.#whileFrozen(entry, found, async () => {
        const image = found === null ? entry.record.image : await this.#commit(found.id);
        try {
          await saveSnapshot(this.#table.snapshots, {...made, image, instances: null}, entry.paths);
        } finally {
          this.#committed.delete(image);
        }
      });
      return made;
    });
    await this.#tidy();
    return snapshot;
  }

  listSnapshots(): Promise<Snapshot[]> {
    return this.#table.listSnapshots();
  }

  async removeSnapshot(name: string): Promise<void> {
    await this.#table.removeSnapshot(name);
    await this.#tidy();
  }

  watch(onEvent: (event: ContainerEvent) => void): () => void {
    const unsubscribe = this.#table.watch(onEvent);
    if (this.#watchLoop === null) {
      this.#watchLoop = new AbortController();
      const signal = AbortSignal.any([this.#watchLoop.signal, this.#closed.signal]);
      void this.#watch(signal);
      void this.#sweep(signal);
    }
    return () => {
      unsubscribe();
      if (this.#table.isWatched) return;
      this.#watchLoop?.abort();
      this.#watchLoop = null;
    };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#table.close();
  }

  async #newRecord(record: ContainerRecord, from: string | undefined): Promise<DockerRecord> {
    const snapshot = from === undefined ? null : await findSnapshot(this.#table.snapshots, from);
    const image = snapshot?.image ?? this.#options.image;
    await this.#requireImage(image);
    return {...record, provider: 'docker', image, made_limits: null, runtime: null};
  }

  async #start(entry: DockerEntry, {signal, paused = false}: StartOptions): Promise<void> {
    const {log, runtimeDirectory} = this.#options;
    await this.#end(entry);
    await this.#table.prepareSockets(entry);
    const starting = new AbortController();
    entry.starting = starting;
    const given = signal === undefined ? starting.signal : AbortSignal.any([starting.signal, signal]);
    try {
      // Written before it runs: after a crash in between the next start or stop ends what this one began.
      await this.#table.save(entry, {
        wanted: 'running',
        runtime: null,
        control_socket: entry.paths.controlSocket,
        boot_mark: nextBootMark(entry.record, {bootId: this.#bootId, paused}),
      });
      // A container of the engine keeps the arguments it was made with, so that this one comes in a file.
      await writeFileDurably(join(entry.paths.run, 'boot'), entry.record.boot_mark);
      await replaceLink(runtimeDirectory, programLink(entry));
      const id = await this.#ensureContainer(entry);
      given.throwIfAborted();
      const ready = await this.#run(entry, id, given);
      await linkControlSocket(entry.record.name, entry.paths);
      await this.#table.save(entry, {
        runtime: {kit_url: ready.kitUrl, runtime_version: ready.runtimeVersion},
      });
      this.#note(entry, true);
      entry.endReported = false;
      const {id: container, name} = entry.record;
      log.info('started container', {id: container, name, level: this.level, kit_url: ready.kitUrl});
    } catch (error) {
      // The caller learns it from the error; watchers are for ends that nobody saw.
      entry.endReported = true;
      await this.#end(entry).catch((cause: unknown) => {
        // The start is what the caller asked for; what is left is ended by the next one, or by a stop.
        log.warn('what a failed start left could not be ended', {id: entry.record.id, error: cause});
      });
      throw error;
    } finally {
      entry.starting = null;
    }
  }

  /** Runs the container of the engine until its runtime is ready. */
  async #run(entry: DockerEntry, id: string, signal: AbortSignal): Promise<ReadyRuntime> {
    const over = new AbortController();
    try {
      const heard = hearRuntime(await this.#attach(id, AbortSignal.any([signal, over.signal])));
      await this.#engine.start(id);
      const {cpus, memory_bytes: memoryBytes} = entry.record.limits;
      const made = entry.record.made_limits;
      if (made?.cpus !== cpus || made.memory_bytes !== memoryBytes)
        await this.#engine.limit(id, {cpus, memoryBytes});
      return await this.#firstReady(entry, {id, heard, signal, over});
    } finally {
      over.abort();
    }
  }

  async #attach(id: string, signal: AbortSignal): Promise<AsyncIterable<Output>> {
    for (let tried = 1; tried <= mostAttachTries; tried += 1) {
      const output = await this.#engine.attach(id, {signal});
      if (output !== null) return output;
      await this.#options.clock.sleep(attachPauseMs, {signal});
    }
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `The container engine is still clearing up after the last run of ${id}. Start it again in a moment.`,
    );
  }

  async #firstReady(
    {record}: DockerEntry,
    {id, heard, signal, over}: {id: string; heard: HeardRuntime; signal: AbortSignal; over: AbortController},
  ): Promise<ReadyRuntime> {
    const {clock, startTimeoutMs: timeoutMs = 10_000} = this.#options;
    const timeout = clock
      .sleep(timeoutMs, {signal: AbortSignal.any([signal, over.signal])})
      .then(() => undefined);
    const line = await Promise.race([heard.firstLine, timeout]);
    signal.throwIfAborted();
    const words = heard.lastWords();
    const said = words === '' ? 'It wrote nothing to its standard error.' : `It wrote:\n${words}`;
    const ready = line ? parseReadyLine(line) : null;
    if (ready === null) {
      const silence =
        line === undefined ? `said nothing within ${timeoutMs / 1000} s` : 'ended before it was ready';
      throw new AppError(
        'PROVIDER_UNAVAILABLE',
        `The runtime of ${record.name} ${line ? 'wrote something else than its ready line' : silence}. ${said}`,
      );
    }
    if (!(await this.#holdsProcess(id, ready.pid))) {
      throw new AppError(
        'PROVIDER_UNAVAILABLE',
        `The runtime of ${record.name} says it is process ${ready.pid}, which is none of its container. ${said}`,
      );
    }
    return ready;
  }

  /** True also where the engine's processes cannot be seen from here. */
  async #holdsProcess(id: string, pidInside: number): Promise<boolean> {
    const found = await this.#engine.findContainer(id);
    const first = readProcess(found?.pid ?? 0);
    if (first === null) return found?.running ?? false;
    return withDescendants(await listProcesses(), [first]).some(
      ({pid}) => namespacePids(pid).at(-1) === pidInside,
    );
  }

  /** The container of the engine, made where there is none; its id. */
  async #ensureContainer(entry: DockerEntry): Promise<string> {
    const name = engineName(entry.record);
    const found = await this.#find(entry);
    const base = this.#spec(entry);
    const digest = specDigest(base);
    if (found !== null && this.#labels.specOf(found.labels) === digest) return found.id;
    if (found !== null) {
      // It is to be made in another way than before, for example with a runtime elsewhere. Its files are kept.
      const image = await this.#commit(found.id);
      await this.#table.save(entry, {image});
      this.#committed.delete(image);
      await this.#engine.remove(found.id);
    }
    const {record} = entry;
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const image = await this.#requireImage(record.image);
    if (this.#options.network === 'own')
      await this.#engine.ensureNetwork(this.#labels.resourceName, this.#labels.ofAll);
    const id = await this.#engine.createContainer(name, {
      ...base,
      image: image.id,
      env: {...base.env, ...(image.path === null ? {} : {PATH: image.path})},
      labels: {...this.#labels.ofContainer(record.id, digest), ...wordsForPeople(record)},
      limits: {cpus, memoryBytes},
    });
    await this.#table.save(entry, {made_limits: record.limits});
    return id;
  }

  #spec({record, paths}: DockerEntry): ContainerSpec {
    const {runtimeCommand: command, runtimeDirectory: directory, network, domain} = this.#options;
    const mount = (source: string, target: string, readOnly = false) => ({source, target, readOnly});
    return {
      image: record.image,
      command: [
        ...commandInside({command, directory}),
        ...runtimeArguments(record, placesInside, '127.0.0.1', domain),
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
      network: network === 'own' ? this.#labels.resourceName : network,
      capabilities,
      limits: {cpus: null, memoryBytes: null},
    };
  }

  /** Whoever owns the files: an engine that runs as root would leave some that an ordinary user cannot remove. */
  #user(): string {
    const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];
    return this.#facts.rootless || uid === 0 ? '0:0' : `${uid}:${gid}`;
  }

  /** Throws IMAGE_UNUSABLE where containers cannot be made from it. */
  async #requireImage(reference: string): Promise<EngineImage> {
    const image = (await this.#engine.findImage(reference)) ?? (await this.#pull(reference));
    if (this.#usableImages.has(image.id) || this.#labels.isOwnImage(image.labels)) return image;
    await requireGlibcInImage(this.#engine, {
      reference,
      image: image.id,
      name: `${this.#labels.resourceName}-probe-${randomBytes(6).toString('hex')}`,
      labels: this.#labels.ofAll,
    });
    this.#usableImages.add(image.id);
    return image;
  }

  async #pull(reference: string): Promise<EngineImage> {
    const advice = 'Check `docker.image` of branchtab.yaml, or pull it with the engine itself.';
    try {
      if (!reference.startsWith('sha256:')) {
        this.#options.log.info('pulling an image', {image: reference, engine: this.#engine.address});
        await this.#engine.pullImage(reference);
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AppError('IMAGE_UNUSABLE', `The image ${reference} cannot be pulled: ${reason} ${advice}`, {
        cause,
      });
    }
    const image = await this.#engine.findImage(reference);
    if (image === null) throw new AppError('IMAGE_UNUSABLE', `There is no image ${reference}. ${advice}`);
    return image;
  }

  /** The engine's container of this one. Throws NAME_TAKEN where one of that name is not ours. */
  async #find(entry: DockerEntry): Promise<EngineContainer | null> {
    const name = engineName(entry.record);
    const found = await this.#engine.findContainer(name);
    if (found === null || this.#labels.containerIdOf(found.labels) === entry.record.id) return found;
    throw new AppError(
      'NAME_TAKEN',
      `The container ${name} of the engine at ${this.#engine.address} was not made by this state directory. Rename or remove it.`,
    );
  }

  /** Ends every process of the container: with its first one the kernel ends them all. */
  async #end(entry: DockerEntry): Promise<void> {
    const found = await this.#find(entry);
    if (found?.running) {
      await this.#engine.kill(found.id, 'SIGKILL');
      // Some engines let nothing that is paused end.
      if (found.paused) await this.#engine.unpause(found.id);
      await this.#waitForEnd(found.id, {timeoutMs: endTimeoutMs, signal: this.#closed.signal});
      if ((await this.#engine.findContainer(found.id))?.running) throw this.#endless(entry);
    }
    this.#note(entry, false);
  }

  async #discard(entry: DockerEntry): Promise<void> {
    const {clock} = this.#options;
    const untilMs = clock.now() + endTimeoutMs;
    for (;;) {
      const found = await this.#find(entry);
      if (found === null) return;
      if (clock.now() > untilMs) throw this.#endless(entry);
      await this.#engine.unpause(found.id);
      await this.#engine.remove(found.id);
      if ((await this.#find(entry)) !== null) await clock.sleep(retryMs);
    }
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

  /** Runs `work` while no process of the container does; they go on afterwards in any case. */
  async #whileFrozen(
    entry: DockerEntry,
    found: EngineContainer | null,
    work: () => Promise<void>,
  ): Promise<void> {
    if (found?.running !== true) {
      await work();
      return;
    }
    await this.#table.save(entry, {frozen: true});
    try {
      await this.#engine.pause(found.id).catch((error: unknown) => {
        // Without cgroups of its own a rootless engine cannot: such a snapshot is of files in motion.
        this.#options.log.warn('a container could not be paused for its snapshot', {
          id: entry.record.id,
          error,
        });
      });
      await work();
    } finally {
      await this.#engine.unpause(found.id);
      await this.#table.save(entry, {frozen: false});
    }
  }

  async #commit(engineId: string): Promise<string> {
    const image = await this.#engine.commit(engineId, {
      repository: `localhost/${this.#labels.resourceName}`,
      tag: randomBytes(8).toString('hex'),
      labels: imageLabels(this.#options.owner),
    });
    this.#committed.add(image);
    return image;
  }

  /** Asks the engine what runs. */
  async #observe(): Promise<void> {
    this.#step += 1;
    const asked = this.#step;
    const listed = await this.#engine.listContainers(this.#labels.filter);
    const running = new Set(
      listed.filter((each) => each.running).map(({labels}) => this.#labels.containerIdOf(labels)),
    );
    for (const {record} of this.#table.entries()) {
      if ((this.#changedAt.get(record.id) ?? 0) > asked) continue;
      if (running.has(record.id)) this.#running.add(record.id);
      else this.#running.delete(record.id);
    }
  }

  #note({record}: DockerEntry, running: boolean): void {
    this.#step += 1;
    this.#changedAt.set(record.id, this.#step);
    if (running) this.#running.add(record.id);
    else this.#running.delete(record.id);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = defaultWatchIntervalMs, log} = this.#options;
    let isAway = false;
    while (!signal.aborted) {
      try {
        const changes = await this.#engine.changes(this.#labels.filter, {signal});
        await this.#look();
        if (isAway) log.info('the container engine answers again', {engine: this.#engine.address});
        isAway = false;
        for await (const _ of changes) {
          await this.#look();
          // Docker tells of an end shortly before its list does.
          await clock.sleep(settleMs, {signal});
          await this.#look();
        }
      } catch (error) {
        if (!signal.aborted && !isAway) log.warn('the container engine tells no events', {error});
        isAway = true;
      }
      await clock.sleep(watchIntervalMs, {signal}).catch(() => {
        // Nobody watches any more.
      });
    }
  }

  /** For an end that came before the engine listened to us, or of which its list did not know yet. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const {clock, watchIntervalMs = defaultWatchIntervalMs} = this.#options;
    for (;;) {
      await clock.sleep(watchIntervalMs * intervalsOfSweep, {signal}).catch(() => {
        // Nobody watches any more.
      });
      if (signal.aborted) return;
      await this.#look().catch(() => {
        // An engine that is away is told by whoever listens to its events.
      });
    }
  }

  async #look(): Promise<void> {
    await this.#observe();
    this.#table.reportEnds((entry) => this.#isUp(entry));
  }

  /** Removes containers of the engine that are ours and of which nothing is known any more. */
  async #removeOrphans(): Promise<void> {
    for (const {id, labels} of await this.#engine.listContainers(this.#labels.filter)) {
      const known = this.#labels.containerIdOf(labels);
      // A directory whose record cannot be read may still be mended by a person.
      if (known !== null && (await kindOf(join(this.#table.directory, known))) !== null) continue;
      this.#options.log.info('removing a container of the engine that belongs to nothing', {id});
      await this.#engine.unpause(id);
      await this.#engine.remove(id);
    }
  }

  /** Removes images that no snapshot and no container needs, and the network when nobody is left. */
  async #tidy(): Promise<void> {
    try {
      const snapshots = await readSnapshots(this.#table.snapshots);
      const needed = new Set([
        ...snapshots.map(({image}) => image),
        ...this.#table.entries().map(({record}) => record.image),
        ...this.#committed,
      ]);
      for (const {id} of await this.#engine.listImages(this.#labels.imageFilter)) {
        const isNeeded = [...needed].some((each) => each !== null && sameImage(each, id));
        if (!isNeeded) await this.#engine.removeImage(id);
      }
      if (this.#table.entries().length === 0)
        await this.#engine.removeNetwork(this.#labels.resourceName, this.#labels.filter);
    } catch (error) {
      // The work that was asked for is done; what is left is looked for again at the next one.
      this.#options.log.warn('what is no longer needed could not be removed from the container engine', {
        error,
      });
    }
  }

  #isUp({record}: DockerEntry): boolean {
    return record.runtime !== null && this.#running.has(record.id);
  }

  #view(entry: DockerEntry): Container {
    const {record} = entry;
    const up = this.#isUp(entry);
    const stopped = record.wanted === 'stopped' || entry.starting !== null;
    return {
      id: record.id,
      name: record.name,
      labels: record.labels,
      createdAt: record.created_at,
      state: up ? 'running' : stopped ? 'stopped' : 'failed',
      controlSocket: record.control_socket,
      kitUrl: up ? (record.runtime?.kit_url ?? null) : null,
      runtimeVersion: record.runtime?.runtime_version ?? null,
      limits: {cpus: record.limits.cpus, memoryBytes: record.limits.memory_bytes},
      unenforced: up ? this.#unenforced(record) : [],
    };
  }

  #unenforced({limits}: DockerRecord): Container['unenforced'] {
    const wanted = {cpus: limits.cpus !== null, memory: limits.memory_bytes !== null};
    return this.#facts.unenforced.filter((limit) => wanted[limit]);
  }
}

/** As it stands in the engine's own list. */
function engineName({name, id}: ContainerRecord): string {
  return `branchtab-${name}-${id.slice(0, 8)}`;
}

const programLinkName = 'program';

function programLink({paths}: DockerEntry): string {
  return join(paths.directory, programLinkName);
}

/** Engines write an id with and without the name of its hash. */
function sameImage(one: string, other: string): boolean {
  const digits = (id: string) => id.replace(/^sha256:/, '');
  return digits(one) === digits(other);
}

/** What `docker ps` can be asked for. */
function wordsForPeople({name, labels}: ContainerRecord): Record<string, string> {
  const told = [labelNames.repository, labelNames.path, labelNames.branch];
  return {
    'branchtab.name': name,
    ...Object.fromEntries(told.flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]]]))),
  };
}
