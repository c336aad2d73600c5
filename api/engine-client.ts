import * as z from 'zod';
import type {
  ContainerSpec,
  Engine,
  EngineContainer,
  EngineFacts,
  EngineImage,
  ListedContainer,
  Output,
} from '../reconciler/containers/docker/engine.ts';
import type {ResourceLimits} from '../reconciler/containers/provider.ts';
import {AppError} from '../schemas/errors.ts';
import {readJson, readText} from './answer-body.ts';
import {socketProblem} from './socket-problem.ts';

const requestTimeoutMs = 60_000;
const pullTimeoutMs = 15 * 60_000;
const answerer = {who: 'The container engine', code: 'PROVIDER_UNAVAILABLE'} as const;
/** Of docker/docker API 1.41, which Podman 4 and Docker 20.10 speak; both take later ones too. */
const cpuPeriodUs = 100_000;
/** Of CPU, and of memory. */
const limitCount = 2;
/** To Docker 0 means "as it was", so that "no bound" needs a number. A multiple of the page size. */
const boundlessBytes = 2 ** 50;
/** A rotated file of this size is kept, in place of an endless one. */
const logBytes = '1m';

const labelsSchema = z
  .record(z.string(), z.string())
  .nullish()
  .transform((labels) => labels ?? {});
const versionSchema = z.object({
  Version: z.string(),
  Components: z.array(z.object({Name: z.string()})).nullish(),
});
const infoSchema = z.object({
  MemoryLimit: z.boolean().default(false),
  CpuCfsQuota: z.boolean().default(false),
  SecurityOptions: z.array(z.string()).nullish(),
  Rootless: z.boolean().nullish(),
});
const podmanInfoSchema = z.object({host: z.object({cgroupControllers: z.array(z.string()).nullish()})});
const imageSchema = z.object({
  Id: z.string(),
  Config: z
    .object({Labels: labelsSchema, Env: z.array(z.string()).nullish()})
    .nullish()
    .transform((config) => config ?? {Labels: {}, Env: []}),
});
const listedImageSchema = z.object({Id: z.string(), Labels: labelsSchema});
const containerSchema = z.object({
  Id: z.string(),
  Config: z.object({Labels: labelsSchema}),
  State: z.object({Running: z.boolean(), Paused: z.boolean().default(false), Pid: z.int().default(0)}),
});
const listedContainerSchema = z.object({Id: z.string(), Labels: labelsSchema, State: z.string()});
const createdSchema = z.object({Id: z.string()});
const networkSchema = z.object({
  Labels: labelsSchema,
  Containers: z.record(z.string(), z.unknown()).nullish(),
});
const messageSchema = z.object({message: z.string()});
const changeSchema = z.object({Type: z.string().nullish(), Action: z.string()});

/** States in which a container has processes. */
const runningStates = new Set(['running', 'paused', 'stopping']);

/** The actions that change whether a container runs. Docker and Podman have names of their own for some of them. */
const lifeActions = new Set(['start', 'die', 'died', 'oom', 'stop', 'kill', 'destroy', 'remove']);

/**
 * Speaks the Engine API of Docker and Podman over a unix socket. Of the differences between the two nothing is seen
 * outside of this file.
 */
export function createEngineClient({socketPath}: {socketPath: string}): Engine {
  const address = `unix://${socketPath}`;

  const ask = async (method: string, path: string, options: AskOptions = {}): Promise<Response> => {
    const {query = [], body, signal, timeoutMs = requestTimeoutMs} = options;
    const limit = timeoutMs === null ? [] : [AbortSignal.timeout(timeoutMs)];
    const search = new URLSearchParams(query.map(([name, value]): [string, string] => [name, value]));
    try {
      return await fetch(`http://engine${path}?${search}`, {
        unix: socketPath,
        method,
        // An engine that was started again answers no connection of before.
        keepalive: false,
        signal: AbortSignal.any([...limit, ...(signal === undefined ? [] : [signal])]),
        ...(body === undefined
          ? {}
          : {body: JSON.stringify(body), headers: {'Content-Type': 'application/json'}}),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new AppError(
        'PROVIDER_UNAVAILABLE',
        `The container engine at ${address} does not answer: ${socketProblem(cause)}. Start it, or name another one with DOCKER_HOST.`,
        {cause},
      );
    }
  };

  /** The answer, null where the engine knows no such thing. */
  const request = async (
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<Response | null> => {
    const response = await ask(method, path, options);
    if (response.status === 404) return null;
    if (response.ok || response.status === 304 || options.fine?.includes(response.status)) return response;
    throw failure(await words(response), `${method} ${path}`);
  };

  const failure = (said: string, asked: string) =>
    new AppError('PROVIDER_UNAVAILABLE', `${said} (${asked} at ${address})`);

  const required = async (method: string, path: string, options: RequestOptions = {}): Promise<Response> => {
    const response = await request(method, path, options);
    if (response !== null) return response;
    throw new AppError(
      'PROVIDER_UNAVAILABLE',
      `The container engine at ${address} knows no ${path}; somebody else removed it, or its API is too old.`,
    );
  };

  const found = async <T>(path: string, schema: z.ZodType<T>): Promise<T | null> => {
    const response = await request('GET', path);
    return response === null ? null : await read(response, schema);
  };

  const readFacts = async (): Promise<EngineFacts> => {
    const version = await read(await required('GET', '/version'), versionSchema);
    const info = await read(await required('GET', '/info'), infoSchema);
    const isPodman = version.Components?.some(({Name}) => Name.startsWith('Podman')) ?? false;
    const rootless =
      info.Rootless === true || (info.SecurityOptions?.some((each) => each.includes('rootless')) ?? false);
    // To an ordinary user's Podman only what was handed to that user is of use, whatever the host has.
    const own = isPodman && rootless ? await ownControllers() : null;
    return {
      kind: isPodman ? 'podman' : 'docker',
      version: version.Version,
      rootless,
      unenforced: [
        ...((own?.includes('cpu') ?? info.CpuCfsQuota) ? [] : ['cpus' as const]),
        ...((own?.includes('memory') ?? info.MemoryLimit) ? [] : ['memory' as const]),
      ],
    };
  };

  const ownControllers = async (): Promise<readonly string[]> => {
    const {host} = await read(await required('GET', '/v4.3.0/libpod/info'), podmanInfoSchema);
    return host.cgroupControllers ?? [];
  };

  let known: EngineFacts | null = null;
  const facts = async (): Promise<EngineFacts> => {
    known ??= await readFacts();
    return known;
  };

  return {
    address,
    facts: readFacts,
    async findImage(reference) {
      const image = await found(`/images/${encodeURIComponent(reference)}/json`, imageSchema);
      return image === null ? null : {id: image.Id, labels: image.Config.Labels, path: pathOf(image.Config)};
    },
    async pullImage(reference) {
      const [name, tag] = splitReference(reference);
      const query: Query = [['fromImage', name], ...(tag === null ? [] : [['tag', tag] as const])];
      const response = await required('POST', '/images/create', {query, timeoutMs: pullTimeoutMs});
      // The status is sent before the work is done; how it ended stands in the last line.
      const failed = /"error"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(await readText(response, answerer));
      if (failed !== null) throw new AppError('PROVIDER_UNAVAILABLE', `${failed[1]}`);
    },
    async listImages(label) {
      const response = await required('GET', '/images/json', {query: [filters({label: [label]})]});
      const images = await read(response, z.array(listedImageSchema));
      return images.map(({Id, Labels}): EngineImage => ({id: Id, labels: Labels, path: null}));
    },
    async removeImage(id) {
      const response = await request('DELETE', `/images/${encodeURIComponent(id)}`, {fine: [409]});
      return response === null || response.ok;
    },

    async createContainer(name, spec) {
      const response = await request('POST', '/containers/create', {
        query: [['name', name]],
        body: creation(spec, (await facts()).kind),
        fine: [409],
      });
      if (response?.status === 409)
        throw new AppError('NAME_TAKEN', `The engine has a container ${name} already.`);
      if (response === null)
        throw new AppError('PROVIDER_UNAVAILABLE', `The engine has no image ${spec.image} any more.`);
      return (await read(response, createdSchema)).Id;
    },
    async findContainer(idOrName) {
      const container = await found(`/containers/${encodeURIComponent(idOrName)}/json`, containerSchema);
      if (container === null) return null;
      const {Id, Config, State} = container;
      return {
        id: Id,
        labels: Config.Labels,
        running: State.Running || State.Paused,
        paused: State.Paused,
        pid: State.Pid,
      } satisfies EngineContainer;
    },
    async listContainers(label) {
      const query: Query = [['all', 'true'], filters({label: [label]})];
      const listed = await read(
        await required('GET', '/containers/json', {query}),
        z.array(listedContainerSchema),
      );
      return listed.map(
        ({Id, Labels, State}): ListedContainer => ({
          id: Id,
          labels: Labels,
          running: runningStates.has(State.toLowerCase()),
        }),
      );
    },
    async attach(id, {signal}) {
      const query: Query = [
        ['stream', '1'],
        ['stdout', '1'],
        ['stderr', '1'],
      ];
      const path = `/containers/${id}/attach`;
      const response = await required('POST', path, {query, signal, timeoutMs: null, fine: [500]});
      if (response.ok) return readOutput(response);
      const said = await words(response);
      // Podman makes the socket before each run and removes it behind the last one, in no order of its own.
      if (said.includes('attach socket')) return null;
      throw failure(said, `POST ${path}`);
    },
    async start(id) {
      await required('POST', `/containers/${id}/start`);
    },
    async kill(id, name) {
      const query: Query = [['signal', name]];
      // 409 is Docker's word for a container that does not run, 500 is Podman's for one that just ended.
      const response = await request('POST', `/containers/${id}/kill`, {query, fine: [409, 500]});
      return response?.ok ?? false;
    },
    async wait(id, {signal}) {
      // The interval is Podman's, which looks four times a second unless told.
      const query: Query = [
        ['condition', 'not-running'],
        ['interval', '20ms'],
      ];
      try {
        const response = await request('POST', `/containers/${id}/wait`, {query, signal, timeoutMs: null});
        await response?.text();
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    async pause(id) {
      await required('POST', `/containers/${id}/pause`);
    },
    async unpause(id) {
      // What is not paused is answered 409 or 500, with words that differ from one version to the next.
      await request('POST', `/containers/${id}/unpause`, {fine: [409, 500]});
    },
    async remove(id) {
      const query: Query = [
        ['force', 'true'],
        ['v', 'true'],
      ];
      // 409: it is being removed already.
      await request('DELETE', `/containers/${id}`, {query, fine: [409]});
    },
    async limit(id, limits) {
      if ((await facts()).unenforced.length === limitCount) return;
      const docker = await request('POST', `/containers/${id}/update`, {body: changedBounds(limits)});
      if (docker !== null) return;
      const podman = {
        memory: {limit: limits.memoryBytes ?? -1, swap: limits.memoryBytes ?? -1},
        cpu: {quota: quota(limits.cpus), period: cpuPeriodUs},
      };
      await required('POST', `/v4.3.0/libpod/containers/${id}/update`, {body: podman});
    },
    async commit(id, {repository, tag, labels}) {
      const changes = Object.entries(labels).map(
        ([name, value]) => ['changes', `LABEL ${name}="${value}"`] as const,
      );
      const query: Query = [
        ['container', id],
        ['repo', repository],
        ['tag', tag],
        ['pause', 'false'],
        ...changes,
      ];
      const response = await required('POST', '/commit', {query, body: {}});
      return (await read(response, createdSchema)).Id;
    },
    async hasFile(id, path) {
      return (await request('HEAD', `/containers/${id}/archive`, {query: [['path', path]]})) !== null;
    },
    async log(id, {lines}) {
      const query: Query = [
        ['stdout', '1'],
        ['stderr', '1'],
        ['tail', String(lines)],
      ];
      const response = await request('GET', `/containers/${id}/logs`, {query});
      if (response === null) return '';
      const pieces: Uint8Array[] = [];
      for await (const {bytes} of readOutput(response)) pieces.push(bytes);
      return Buffer.concat(pieces).toString('utf8');
    },

    async ensureNetwork(name, labels) {
      if ((await found(`/networks/${name}`, networkSchema)) !== null) return;
      const {kind} = await facts();
      const body = {
        Name: name,
        CheckDuplicate: true,
        Driver: 'bridge',
        Labels: labels,
        Options: kind === 'docker' ? {'com.docker.network.bridge.enable_icc': 'false'} : {isolate: 'true'},
      };
      // 409: another container of ours was faster.
      await request('POST', '/networks/create', {body, fine: [409]});
    },
    async removeNetwork(name, label) {
      const network = await found(`/networks/${name}`, networkSchema);
      if (
        network === null ||
        !Object.entries(network.Labels).some(([key, value]) => `${key}=${value}` === label)
      )
        return;
      // In use is 403 for Docker and 409 for Podman.
      await request('DELETE', `/networks/${name}`, {fine: [403, 409]});
    },

    async changes(label, {signal}) {
      const query: Query = [filters({label: [label], type: ['container']})];
      const response = await required('GET', '/events', {query, signal, timeoutMs: null});
      return readChanges(response);
    },
  };
}

type Query = readonly (readonly [name: string, value: string])[];

interface AskOptions {
  readonly query?: Query;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** Null for a stream. */
  readonly timeoutMs?: number | null;
}

interface RequestOptions extends AskOptions {
  /** Further statuses that are no failure. */
  readonly fine?: readonly number[];
}

function filters(value: Readonly<Record<string, readonly string[]>>): readonly [string, string] {
  return ['filters', JSON.stringify(value)];
}

function creation(spec: ContainerSpec, kind: EngineFacts['kind']): unknown {
  const [entry = '', ...rest] = spec.command;
  return {
    Image: spec.image,
    Entrypoint: [entry],
    Cmd: rest,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    User: spec.user,
    WorkingDir: spec.workingDirectory,
    Hostname: spec.hostName,
    Labels: spec.labels,
    // The runtime is not what the image's check was made for. Podman would ask systemd to time even none.
    ...(kind === 'docker' ? {Healthcheck: {Test: ['NONE']}} : {}),
    HostConfig: {
      // Reaps what jobs leave behind, passes signals on, and lets the runtime be an ordinary process.
      Init: true,
      NetworkMode: spec.network,
      ExtraHosts: spec.localNames.map((name) => `${name}:127.0.0.1`),
      Mounts: spec.mounts.map(({source, target, readOnly}) => ({
        Type: 'bind',
        Source: source,
        Target: target,
        ReadOnly: readOnly,
      })),
      CapDrop: ['ALL'],
      CapAdd: spec.capabilities,
      SecurityOpt: ['no-new-privileges'],
      // The controller starts again what died: it alone knows whether it is still wanted.
      RestartPolicy: {Name: 'no'},
      LogConfig: {Type: 'json-file', Config: {'max-size': logBytes}},
      ...firstBounds(spec.limits),
    },
  };
}

function firstBounds({cpus, memoryBytes}: ResourceLimits): Record<string, number> {
  return {
    ...(memoryBytes === null ? {} : {Memory: memoryBytes, MemorySwap: memoryBytes}),
    ...(cpus === null ? {} : {CpuPeriod: cpuPeriodUs, CpuQuota: quota(cpus)}),
  };
}

function changedBounds({cpus, memoryBytes}: ResourceLimits): Record<string, number> {
  return {
    Memory: memoryBytes ?? boundlessBytes,
    // The same, since the kernel takes no bound of memory that is above the one of both.
    MemorySwap: memoryBytes ?? boundlessBytes,
    CpuPeriod: cpuPeriodUs,
    CpuQuota: quota(cpus),
  };
}

/** Microseconds in each period; -1 for no bound. */
function quota(cpus: number | null): number {
  return cpus === null ? -1 : Math.round(cpus * cpuPeriodUs);
}

function pathOf({Env}: {readonly Env?: readonly string[] | null | undefined}): string | null {
  return Env?.find((each) => each.startsWith('PATH='))?.slice('PATH='.length) ?? null;
}

/** A registry may have a port: only what follows the last slash can hold a tag. */
function splitReference(reference: string): [name: string, tag: string | null] {
  if (reference.includes('@')) return [reference, null];
  const colon = reference.indexOf(':', reference.lastIndexOf('/') + 1);
  return colon === -1 ? [reference, 'latest'] : [reference.slice(0, colon), reference.slice(colon + 1)];
}

async function read<T>(response: Response, schema: z.ZodType<T>): Promise<T> {
  const value = await readJson(response, answerer);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `The container engine answered something else than the Engine API does: ${z.prettifyError(result.error)}`,
  );
}

/** What the engine says of a failure. */
async function words(response: Response): Promise<string> {
  const text = await readText(response, answerer);
  try {
    return messageSchema.parse(JSON.parse(text)).message;
  } catch {
    // Some failures are plain text.
    return text.trim() === ''
      ? `The container engine answered ${response.status}`
      : text.trim().slice(0, 1000);
  }
}

const frameHeadBytes = 8;

/** The engine puts a head of 8 bytes before each piece: the number of the stream, and the length of what follows. */
async function* readOutput(response: Response): AsyncGenerator<Output> {
  let rest = Buffer.alloc(0);
  try {
    for await (const piece of response.body ?? []) {
      rest = Buffer.concat([rest, piece]);
      while (rest.length >= frameHeadBytes) {
        const length = rest.readUInt32BE(4);
        if (rest.length < frameHeadBytes + length) break;
        const bytes = rest.subarray(frameHeadBytes, frameHeadBytes + length);
        yield {stream: rest[0] === 2 ? 'stderr' : 'stdout', bytes};
        rest = rest.subarray(frameHeadBytes + length);
      }
    }
  } catch {
    // A connection that was cut, by us or by the engine, says nothing of the container: whoever reads looks at that.
  }
}

async function* readChanges(response: Response): AsyncGenerator<void> {
  let rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const piece of response.body ?? []) {
      rest += decoder.decode(piece, {stream: true});
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      if (lines.some(isChange)) yield;
    }
  } catch {
    // As above: it ends, and whoever reads looks again.
  }
}

function isChange(line: string): boolean {
  try {
    const {Type, Action} = changeSchema.parse(JSON.parse(line));
    return (Type ?? 'container') === 'container' && lifeActions.has(Action);
  } catch {
    // A line that cannot be read may have been a change.
    return line.trim() !== '';
  }
}
