import type {Clock} from '../../../runtime/platform/clock.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {Entry} from '../container-table.ts';
import {requireGlibc} from '../glibc.ts';
import {inside} from '../inside.ts';
import type {Incus, Instance, InstanceSpec, Outcome, Settings} from './incus.ts';
import type {IncusRecord} from './incus-record.ts';
import {
  containerConfig,
  containerIdOf,
  hostsFile,
  limitsConfig,
  ownerKey,
  runDevice,
  runtimeDevice,
} from './instance-config.ts';

export interface InstancesOptions {
  readonly incus: Incus;
  readonly owner: string;
  /** As in the options of the provider. */
  readonly image: string;
  readonly pool: string;
  readonly profiles?: readonly string[];
  readonly target?: string | undefined;
  readonly domain?: string | undefined;
  readonly clock: Clock;
}

const busyTimeoutMs = 60_000;
const retryMs = 30;
const endLookMs = 30;

/** How an instance is made, found, ended and removed. */
export class Instances {
  readonly #options: InstancesOptions;
  readonly #incus: Incus;
  readonly #usableImages = new Set<string>();
  /** What is not to be taken for left behind: names of instances, and what those of a snapshot have in theirs. */
  readonly making = new Set<string>();

  constructor(options: InstancesOptions) {
    this.#options = options;
    this.#incus = options.incus;
  }

  async whileMaking<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.making.add(name);
    try {
      return await work();
    } finally {
      this.making.delete(name);
    }
  }

  /** The instance of a container. Throws NAME_TAKEN where one of that name is not ours. */
  async find({record}: Pick<Entry<IncusRecord>, 'record'>): Promise<Instance | null> {
    const found = await this.#incus.findInstance(record.instance);
    if (found === null || found.isAway) return found;
    if (found.config[ownerKey] === this.#options.owner && containerIdOf(found) === record.id) return found;
    throw new AppError(
      'NAME_TAKEN',
      `The instance ${record.instance} of the server at ${this.#incus.address} was not made by this state directory. Rename or remove it.`,
    );
  }

  /** All of this state directory. */
  list(): Promise<Instance[]> {
    return this.#incus.listInstances(ownerKey, this.#options.owner);
  }

  /**
   * Makes the instance of a new container, as a copy or of the image; it carries the owner from its first moment.
   * Throws IMAGE_UNUSABLE.
   */
  async make(record: IncusRecord, copyOf: string | null): Promise<void> {
    const {owner, image, domain} = this.#options;
    const {cpus, memory_bytes: memoryBytes} = record.limits;
    const config = {...containerConfig(owner, record), ...limitsConfig({cpus, memoryBytes})};
    const {instance: name} = record;
    if (copyOf !== null) return await this.#incus.createInstance(name, this.spec({copyOf}, config));
    await this.#incus.createInstance(name, this.spec({image}, config));
    if (!this.#usableImages.has(image)) {
      await requireGlibc(
        {reference: image, setting: 'incus.image'},
        async (path) => (await this.#incus.pathKind(name, path)) !== null,
      );
    }
    this.#usableImages.add(image);
    await this.#incus.makeDirectory(name, inside.data);
    await this.#incus.makeDirectory(name, inside.workspace);
    await this.#incus.writeFile(name, '/etc/hosts', hostsFile(domain));
  }

  spec(source: InstanceSpec['source'], config: Settings): InstanceSpec {
    const {pool, profiles = [], target} = this.#options;
    // A copy would have the sockets of what it is copied from.
    const none = {type: 'none'};
    const devices = {
      root: {type: 'disk', path: '/', pool},
      eth0: none,
      [runDevice]: none,
      [runtimeDevice]: none,
    };
    return {source, profiles, config, devices, target};
  }

  /** Asks the first program to stop and waits for its end, at most `graceMs` and until the signal aborts. */
  async askToStop(
    instance: string,
    {graceMs, signal}: {graceMs: number; signal: AbortSignal},
  ): Promise<void> {
    const {clock} = this.#options;
    await this.settle(() => this.#incus.unfreeze(instance));
    // The server's own way to stop an instance cannot be cut short by one that does it at once.
    await this.#incus.execute(instance, ['/bin/sh', '-c', 'kill -TERM 1']);
    const untilMs = clock.now() + graceMs;
    while (!signal.aborted && clock.now() < untilMs) {
      if ((await this.#incus.findInstance(instance))?.running !== true) return;
      await clock.sleep(endLookMs);
    }
  }

  /** Ends every process of the container: with its first one the kernel ends them all. */
  async end(entry: Entry<IncusRecord>): Promise<void> {
    if ((await this.find(entry))?.running) await this.settle(() => this.#incus.stop(entry.record.instance));
  }

  async discard(instance: string): Promise<void> {
    await this.settle(async () => {
      const stopped = await this.#incus.stop(instance);
      return stopped === 'busy' ? 'busy' : await this.#incus.remove(instance);
    });
  }

  /** Asks again while another change of the instance is under way. */
  async settle(work: () => Promise<Outcome>): Promise<void> {
    const {clock} = this.#options;
    const untilMs = clock.now() + busyTimeoutMs;
    while ((await work()) === 'busy') {
      if (clock.now() > untilMs) {
        throw new AppError(
          'PROVIDER_UNAVAILABLE',
          `The Incus server at ${this.#incus.address} has been busy with an instance for ${busyTimeoutMs / 1000} s. Look at its operations there.`,
        );
      }
      await clock.sleep(retryMs);
    }
  }
}
