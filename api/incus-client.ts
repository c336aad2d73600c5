import * as z from 'zod';
import type {
  Incus,
  IncusFacts,
  Instance,
  InstanceSpec,
  Outcome,
  Settings,
  VolumePlace,
} from '../reconciler/containers/incus/incus.ts';
import type {SecureServer} from '../runtime/platform/byte-socket.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {
  OpenWebsocket,
  WebsocketPlace,
  WebsocketStream,
  WebsocketStreamEvents,
} from '../runtime/platform/websocket-stream.ts';
import {AppError} from '../schemas/errors.ts';
import {readJson, readText} from './answer-body.ts';
import {
  type ClusterMembers,
  clusterGroupsSchema,
  clusterMembersSchema,
  isOnline,
  targetProblem,
} from './incus-cluster.ts';
import {fetchTls, isPinned, type ServerTrust, type TrustProblem, trustProblem} from './server-trust.ts';
import {socketProblem} from './socket-problem.ts';

const requestTimeoutMs = 60_000;
/** Making an instance may mean to unpack an image or to copy every file. */
const makingTimeoutMs = 15 * 60_000;
const answerer = {who: 'The Incus server', code: 'PROVIDER_UNAVAILABLE'} as const;

const patienceMs = 30_000;
const pauseMs = 100;

const settingsSchema = z
  .record(z.string(), z.string())
  .nullish()
  .transform((settings) => settings ?? {});
const serverSchema = z.object({
  auth: z.string(),
  environment: z
    .object({
      server: z.string().default('lxd'),
      server_version: z.string().default(''),
      server_clustered: z.boolean().default(false),
      server_name: z.string().default(''),
    })
    .prefault({}),
});
const instanceSchema = z.object({
  name: z.string(),
  status: z.string(),
  config: settingsSchema,
  location: z.string().default('none'),
});
const originalSchema = z.object({architecture: z.string()});
const volumeSchema = z.object({
  name: z.string(),
  config: settingsSchema,
  location: z.string().default('none'),
});
const execSchema = z.object({id: z.string(), metadata: z.object({fds: z.record(z.string(), z.string())})});
const stateSchema = z.object({pid: z.int().default(0)});
const operationSchema = z.object({
  err: z.string().default(''),
  metadata: z.record(z.string(), z.unknown()).nullish(),
});
const networkSchema = z.object({config: settingsSchema, status: z.string().default('Created')});
const clusterSchema = z.object({enabled: z.boolean().default(false)});
const connectedSchema = z.object({
  expanded_devices: z
    .record(z.string(), settingsSchema)
    .nullish()
    .transform((devices) => devices ?? {}),
  state: z
    .object({
      network: z
        .record(z.string(), z.object({addresses: z.array(z.object({address: z.string()})).default([])}))
        .nullish(),
    })
    .nullish(),
});
const leaseSchema = z.object({address: z.string()});
const warningSchema = z.object({type: z.string()});
const answerSchema = z.object({
  type: z.enum(['sync', 'async', 'error']),
  operation: z.string().nullish(),
  error: z.string().nullish(),
  error_code: z.int().nullish(),
  metadata: z.unknown(),
});
type Answer = z.infer<typeof answerSchema>;

/** How a server is reached: by the socket of this machine, or over the network with certificates. */
export type IncusAddress =
  | {readonly socketPath: string}
  | {
      /** `https://host:port` */
      readonly url: string;
      readonly trust: ServerTrust;
    };

export interface IncusClientOptions {
  readonly at: IncusAddress;
  readonly project?: string | undefined;
  readonly openWebsocket: OpenWebsocket;
  readonly clock: Clock;
}

/**
 * Speaks the REST API that Incus and LXD have in common. Of the differences between the two nothing is seen outside of
 * this file.
 */
export function createIncusClient({at, project, openWebsocket, clock}: IncusClientOptions): Incus {
  const isLocal = 'socketPath' in at;
  const address = isLocal ? `unix://${at.socketPath}` : at.url;
  const base = isLocal ? 'http://incus' : at.url;
  const connection = isLocal ? {unix: at.socketPath} : {tls: fetchTls(at.trust)};
  const place: WebsocketPlace = isLocal ? at : {server: secureServer(at)};

  const target = (path: string, query: Query = {}) => {
    const all = {...(project === undefined ? {} : {project}), ...query};
    return `${path}?${new URLSearchParams(all)}`;
  };

  const ask = async (method: string, path: string, options: AskOptions = {}): Promise<Response> => {
    const {query, body, content, headers = {}, signal, timeoutMs = requestTimeoutMs} = options;
    const sent = content ?? (body === undefined ? undefined : JSON.stringify(body));
    try {
      return await fetch(`${base}${target(path, query)}`, {
        ...connection,
        method,
        // A server that was started again answers no connection of before.
        keepalive: false,
        headers,
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])]),
        ...(sent === undefined ? {} : {body: sent}),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw unreachable(address, cause);
    }
  };

  const failure = (what: string, words: string) =>
    new AppError('PROVIDER_UNAVAILABLE', `The Incus server at ${address} says: ${words} (${what})`);

  const patiently = async <T>(work: () => Promise<T>, isUnready: (result: T) => boolean): Promise<T> => {
    const untilMs = clock.now() + patienceMs;
    for (;;) {
      const result = await work();
      if (!isUnready(result) || clock.now() > untilMs) return result;
      await clock.sleep(pauseMs);
    }
  };

  /** The server's answer, errors included. */
  const call = async (method: string, path: string, options: AskOptions = {}): Promise<Answer> => {
    const response = await ask(method, path, options);
    const result = answerSchema.safeParse(await readJson(response, answerer));
    if (result.success) return result.data;
    throw failure(`${method} ${path}`, `something else than the API does: ${z.prettifyError(result.error)}`);
  };

  /** What the server knows of `path`; null where it knows no such thing. */
  const found = async <T>(path: string, schema: z.ZodType<T>, options?: AskOptions): Promise<T | null> => {
    const answer = await call('GET', path, options);
    if (answer.error_code === 404) return null;
    if (answer.type === 'error') throw failure(`GET ${path}`, answer.error ?? '');
    const result = schema.safeParse(answer.metadata);
    if (result.success) return result.data;
    throw failure(`GET ${path}`, `something else than the API does: ${z.prettifyError(result.error)}`);
  };

  /** Does what may take a while, and resolves with what went wrong, or with what came out. */
  const operate = async (method: string, path: string, options: AskOptions = {}): Promise<Operated> => {
    const answer = await call(method, path, options);
    if (answer.type === 'error')
      return {error: answer.error ?? '', code: answer.error_code ?? 0, metadata: {}};
    if (answer.type === 'sync') return {error: '', code: 0, metadata: {}};
    const id = /^\/1\.0\/operations\/([0-9a-f-]+)/.exec(answer.operation ?? '')?.[1];
    if (id === undefined) throw failure(`${method} ${path}`, `an operation without an id`);
    const {timeoutMs = requestTimeoutMs} = options;
    const waiting = await call('GET', `/1.0/operations/${id}/wait`, {timeoutMs});
    if (waiting.error_code === 404) throw failure(`${method} ${path}`, 'the operation is not known any more');
    // LXD answers with the operation that failed, Incus with its error.
    if (waiting.type === 'error') return {error: waiting.error ?? '', code: 0, metadata: {}};
    const done = operationSchema.safeParse(waiting.metadata);
    if (!done.success) throw failure(`${method} ${path}`, z.prettifyError(done.error));
    return {error: done.data.err, code: 0, metadata: done.data.metadata ?? {}};
  };

  const change = async (
    method: string,
    path: string,
    {body, isDone}: {body?: unknown; isDone?: RegExp},
  ): Promise<Outcome> => {
    const {error, code} = await operate(method, path, {body});
    if (error === '' || isDone?.test(error)) return 'done';
    if (method === 'DELETE' && code === 404) return 'done';
    if (isBusy.test(error)) return 'busy';
    throw failure(`${method} ${path}`, error);
  };

  const act = (name: string, action: string, isDone: RegExp) =>
    change('PUT', `${instancePath(name)}/state`, {body: {action, force: true, timeout: -1}, isDone});

  const listAll = async (): Promise<Instance[]> => {
    const all = await found('/1.0/instances', z.array(instanceSchema), {query: {recursion: '1'}});
    return (all ?? []).map(read);
  };

  const listAway = async (): Promise<Instance[]> => (await listAll()).filter(({isAway}) => isAway);

  /** None where the server is no cluster. */
  const listMembers = async (): Promise<ClusterMembers> => {
    if ((await found('/1.0/cluster', clusterSchema))?.enabled !== true) return [];
    return (await found('/1.0/cluster/members', clusterMembersSchema, {query: {recursion: '1'}})) ?? [];
  };

  /** Throws where that is why nothing could be made at the target. */
  const requireTarget = async (target: string): Promise<void> => {
    const members = await listMembers();
    if (members.length === 0) return;
    const groups = (await found('/1.0/cluster/groups', clusterGroupsSchema, {query: {recursion: '1'}})) ?? [];
    const problem = targetProblem(target, {address, members, groups: groups.map(({name}) => name)});
    if (problem !== null) throw problem;
  };

  let kind: IncusFacts['kind'] | null = null;
  /** Some keys of the configuration have names of their own in Incus. */
  const spelt = async (config: Settings): Promise<Settings> => {
    kind ??= (await readFacts()).kind;
    if (kind === 'lxd') return config;
    return Object.fromEntries(
      Object.entries(config).map(([key, value]) => [namesInIncus[key] ?? key, value]),
    );
  };

  const readFacts = async (): Promise<IncusFacts> => {
    const server = await found('/1.0', serverSchema);
    if (server === null) throw failure('GET /1.0', 'there is no API 1.0');
    if (server.auth !== 'trusted')
      throw new AppError(
        'PROVIDER_UNAVAILABLE',
        `The Incus server at ${address} does not trust ${isLocal ? 'this user' : 'incus.client_certificate'}. ${isLocal ? 'Let its group have the socket, or run as root.' : 'Add it there: `incus config trust add-certificate` of Incus, `lxc config trust add` of LXD.'}`,
      );
    const warnings = await found('/1.0/warnings', z.array(warningSchema), {query: {recursion: '1'}});
    const lacks = (what: RegExp) => warnings?.some(({type}) => what.test(type)) ?? false;
    return {
      kind: server.environment.server === 'incus' ? 'incus' : 'lxd',
      version: server.environment.server_version,
      member: server.environment.server_clustered ? server.environment.server_name : null,
      isLocal,
      unenforced: [
        ...(lacks(/CGroup CPU controller/i) ? ['cpus' as const] : []),
        ...(lacks(/CGroup memory controller/i) ? ['memory' as const] : []),
      ],
    };
  };

  return {
    address,
    facts: readFacts,

    async createInstance(name, spec) {
      const original =
        'copyOf' in spec.source ? await found(instancePath(spec.source.copyOf), originalSchema) : null;
      const config = await spelt(spec.config);
      const {error} = await operate('POST', '/1.0/instances', {
        // A copy to another member does not ask the original for it.
        body: {...creation(name, {...spec, config}), ...original},
        timeoutMs: makingTimeoutMs,
        ...(spec.target === undefined ? {} : {query: {target: spec.target}}),
      });
      if (error === '') return;
      if (/already exists/i.test(error))
        throw new AppError('NAME_TAKEN', `The Incus server has an instance ${name} already.`);
      if (spec.target !== undefined) await requireTarget(spec.target);
      if (
        'image' in spec.source &&
        /image.*not found|not found.*image|^not found$|image not provided/i.test(error)
      ) {
        throw new AppError(
          'IMAGE_UNUSABLE',
          `The Incus server at ${address} has no image ${spec.source.image}. Import or copy one there, such as \`incus image copy images:debian/12 local: --alias ${spec.source.image}\`, or name another one in \`incus.image\` of branchtab.yaml.`,
        );
      }
      throw failure(`making ${name}`, error);
    },
    async findInstance(name) {
      const look = async () => {
        try {
          const instance = await found(instancePath(name), instanceSchema);
          return instance === null ? null : read(instance);
        } catch (error) {
          // One of a member that is away can only be seen among all.
          const away = (await listAway()).find((each) => each.name === name);
          return away ?? {error};
        }
      };
      // Of a member that has just come back Incus says for a moment that it is not ready.
      const seen = await patiently(
        look,
        (result) => result !== null && 'error' in result && isNotReady.test(String(result.error)),
      );
      if (seen !== null && 'error' in seen) throw seen.error;
      return seen;
    },
    async listInstances(key, value) {
      return (await listAll()).filter(({config}) => config[key] === value);
    },
    listAway,
    async configure(name, {config = {}, devices = {}}) {
      return change('PATCH', instancePath(name), {body: {config: await spelt(config), devices}});
    },
    start: (name) => act(name, 'start', /already running/i),
    stop: (name) => act(name, 'stop', /already stopped|not running|not found/i),
    freeze: (name) => act(name, 'freeze', /already frozen|not running/i),
    unfreeze: (name) => act(name, 'unfreeze', /not frozen|not running|already running/i),
    remove: (name) => change('DELETE', instancePath(name), {}),
    async execute(name, command) {
      const path = `${instancePath(name)}/exec`;
      const body = {command, 'wait-for-websocket': false, interactive: false};
      const {error, code, metadata} = await operate('POST', path, {body});
      if (code === 404 || /not running/i.test(error)) return null;
      if (error !== '') throw failure(`POST ${path}`, error);
      return z.int().nullable().catch(null).parse(metadata.return);
    },
    async openCommand(name, command, events) {
      const path = `${instancePath(name)}/exec`;
      const body = {command, 'wait-for-websocket': true, interactive: false};
      const answer = await call('POST', path, {body});
      if (answer.type === 'error') throw failure(`POST ${path}`, answer.error ?? '');
      const {id, metadata} = execSchema.parse(answer.metadata);
      const open = (descriptor: string, on: typeof events) =>
        openWebsocket(
          {
            ...place,
            path: target(`/1.0/operations/${id}/websocket`, {secret: metadata.fds[descriptor] ?? ''}),
          },
          on,
        );
      const nothing = () => {};
      const deaf = {data: nothing, drained: nothing, ended: nothing, closed: nothing};
      const all: WebsocketStream[] = [];
      let isOver = false;
      const closeAll = () => {
        isOver = true;
        for (const each of all) each.close();
      };
      const opened = async (opening: Promise<WebsocketStream>) => {
        const stream = await opening;
        all.push(stream);
        // Another of them could not be opened.
        if (isOver) stream.close();
        return stream;
      };
      const over = () => {
        closeAll();
        events.closed();
      };
      // The command begins when all of them are there.
      try {
        const [input, output] = await Promise.all([
          opened(open('0', {...deaf, drained: events.drained})),
          opened(open('1', {...events, drained: nothing, closed: over})),
          opened(open('2', deaf)),
          opened(open('control', deaf)),
        ]);
        return {
          write: (bytes) => input.write(bytes),
          finish: () => input.finish(),
          pause: () => output.pause(),
          resume: () => output.resume(),
          close: closeAll,
        };
      } catch (error) {
        closeAll();
        throw error;
      }
    },
    async firstProcess(name) {
      return (await found(`${instancePath(name)}/state`, stateSchema))?.pid ?? 0;
    },
    async console(name) {
      const response = await ask('GET', `${instancePath(name)}/console`);
      const text = await readText(response, answerer);
      return response.ok ? text.replaceAll('\r\n', '\n') : '';
    },

    async pathKind(name, path) {
      // A server under load sometimes does not get the helper up in time that reaches files of an instance.
      const response = await patiently(
        () => ask('HEAD', `${instancePath(name)}/files`, {query: {path}}),
        ({status}) => status === 500,
      );
      if (response.status === 404) return null;
      if (!response.ok) throw failure(`HEAD ${path} in ${name}`, `status ${response.status}`);
      const type = response.headers.get('X-LXD-type') ?? response.headers.get('X-Incus-type');
      return type === 'directory' || type === 'file' ? type : 'other';
    },
    writeFile: (name, path, content, {mode} = {mode: '0644'}) =>
      put(name, path, {type: 'file', mode, content}),
    makeDirectory: (name, path) => put(name, path, {type: 'directory', mode: '0755', content: ''}),

    async findVolume(volume) {
      const query = placeQuery(volume);
      return (await found(volumePath(volume), volumeSchema, {query}))?.config ?? null;
    },
    async configureVolume(volume, config) {
      const {error} = await operate('PATCH', volumePath(volume), {
        query: placeQuery(volume),
        body: {config},
      });
      if (error !== '') throw failure(`changing the volume ${volume.name}`, error);
    },
    async createVolume(volume, config) {
      const path = `/1.0/storage-pools/${volume.pool}/volumes/custom`;
      const {error} = await operate('POST', path, {
        query: placeQuery(volume),
        body: {name: volume.name, config},
      });
      if (error !== '' && !/already exists/i.test(error)) throw failure(`POST ${path}`, error);
    },
    async listVolumes(pool, key, value) {
      const path = `/1.0/storage-pools/${encodeURIComponent(pool)}/volumes/custom`;
      const all = await found(path, z.array(volumeSchema), {query: {recursion: '1'}});
      return (all ?? [])
        .filter(({config}) => config[key] === value)
        .map(({name, location}) => ({pool, name, member: memberOf(location)}));
    },
    async removeVolume(volume) {
      const {error} = await operate('DELETE', volumePath(volume), {query: placeQuery(volume)});
      if (error !== '' && !/in use|used by|not found/i.test(error))
        throw failure(`removing the volume ${volume.name}`, error);
    },

    async ensureNetwork(name, config) {
      const path = `/1.0/networks/${encodeURIComponent(name)}`;
      if (/^created$/i.test((await found(path, networkSchema))?.status ?? '')) return;
      const members = await listMembers();
      const bridge = {name, type: 'bridge'};
      // In a cluster each member is told of it first.
      for (const {server_name: target} of members) {
        const {error} = await operate('POST', '/1.0/networks', {query: {target}, body: bridge});
        if (error !== '' && !/already/i.test(error))
          throw failure(`making the network ${name} on ${target}`, error);
      }
      const body = {...bridge, config: {'ipv4.nat': 'true', 'ipv6.address': 'none', ...config}};
      const {error} = await operate('POST', '/1.0/networks', {body});
      // Another container of ours was faster.
      if (error === '' || /already/i.test(error)) return;
      const away = members.filter((member) => !isOnline(member)).map((member) => member.server_name);
      throw failure(
        `making the network ${name}${away.length === 0 ? '' : `, which needs all members, and ${away.join(', ')} does not answer`}`,
        error,
      );
    },
    async findNetwork(name) {
      const path = `/1.0/networks/${encodeURIComponent(name)}`;
      const gateway = (await found(path, networkSchema))?.config['ipv4.address'];
      if (gateway === undefined || gateway === '' || gateway === 'none') return null;
      const leased = async () =>
        ((await found(`${path}/leases`, z.array(leaseSchema))) ?? []).map((lease) => lease.address);
      const taken = await leased().catch(async (error: unknown) => {
        // A cluster asks every member for theirs, and fails where one is away; what instances have is known without it.
        if ((await listMembers()).length === 0) throw error;
        return addressesIn(name);
      });
      return {gateway, taken: new Set(taken)};
    },
    async removeNetwork(name, key, value) {
      const path = `/1.0/networks/${encodeURIComponent(name)}`;
      if ((await found(path, networkSchema))?.config[key] !== value) return;
      const {error} = await operate('DELETE', path);
      if (error !== '' && !/in use|not found/i.test(error)) throw failure(`DELETE ${path}`, error);
    },

    changes: ({signal}) =>
      readEvents(
        (events) => openWebsocket({...place, path: target('/1.0/events', {type: 'lifecycle'})}, events),
        {
          signal,
        },
      ),
  };

  async function addressesIn(network: string): Promise<string[]> {
    const all = await found('/1.0/instances', z.array(connectedSchema), {query: {recursion: '2'}});
    const given = (all ?? []).flatMap(({expanded_devices: devices}) =>
      Object.values(devices).flatMap((device) =>
        device.network === network ? (device['ipv4.address'] ?? []) : [],
      ),
    );
    const seen = (all ?? []).flatMap(({state}) =>
      Object.values(state?.network ?? {}).flatMap(({addresses}) => addresses.map(({address}) => address)),
    );
    return [...given, ...seen];
  }

  async function put(
    name: string,
    path: string,
    {
      type,
      mode,
      content,
    }: {readonly type: string; readonly mode: string; readonly content: string | Uint8Array},
  ): Promise<void> {
    const values = {type, mode, uid: '0', gid: '0'};
    const headers = Object.fromEntries(
      Object.entries(values).flatMap(([key, value]) => [
        [`X-LXD-${key}`, value],
        [`X-Incus-${key}`, value],
      ]),
    );
    const answer = await patiently(
      () =>
        call('POST', `${instancePath(name)}/files`, {
          query: {path},
          content,
          headers,
          // The runtime has a hundred megabytes, and the way to the server may be long.
          timeoutMs: makingTimeoutMs,
        }),
      ({error_code}) => error_code === 500,
    );
    if (answer.type === 'error') throw failure(`writing ${path} in ${name}`, answer.error ?? '');
  }
}

type Query = Readonly<Record<string, string>>;

interface AskOptions {
  readonly query?: Query | undefined;
  readonly body?: unknown;
  /** Sent as it is, in place of a body. */
  readonly content?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

interface Operated {
  readonly error: string;
  /** Status of an answer that began no operation; 0 otherwise. */
  readonly code: number;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const namesInIncus: Readonly<Record<string, string>> = {'security.devlxd': 'security.guestapi'};

const isNotReady = /\bready yet\b/i;
const isBusy = /\bbusy\b|instance is running|currently (?:starting|stopping)/i;

function instancePath(name: string): string {
  return `/1.0/instances/${encodeURIComponent(name)}`;
}

function read({name, status, config, location}: z.infer<typeof instanceSchema>): Instance {
  const word = status.toLowerCase();
  const isAway = word === 'error';
  return {name, config, running: word !== 'stopped' && !isAway, member: memberOf(location), isAway};
}

/** A server alone calls its place `none`. */
function memberOf(location: string): string | null {
  return location === '' || location === 'none' ? null : location;
}

function volumePath({pool, name}: VolumePlace): string {
  return `/1.0/storage-pools/${encodeURIComponent(pool)}/volumes/custom/${encodeURIComponent(name)}`;
}

function placeQuery({member}: VolumePlace): Query {
  return member === null ? {} : {target: member};
}

function creation(name: string, {source, profiles, config, devices}: InstanceSpec): object {
  return {
    name,
    type: 'container',
    source:
      'image' in source
        ? {type: 'image', alias: source.image}
        : {type: 'copy', source: source.copyOf, instance_only: true},
    profiles,
    config,
    devices,
  };
}

function secureServer({url, trust}: {readonly url: string; readonly trust: ServerTrust}): SecureServer {
  const {hostname, port} = new URL(url);
  return {
    ...trust,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || '443'),
    judge(problem, fingerprint256) {
      if (problem === null) return null;
      const isName = trustProblem(problem) === 'other_name';
      return isName && isPinned(trust, fingerprint256) ? null : unreachable(url, problem);
    },
  };
}

const trustWords: Readonly<Record<TrustProblem, string>> = {
  unknown:
    'its certificate is neither in `incus.server_certificate` nor signed by one that is. Compare its fingerprint with that of the server (`lxc info | grep fingerprint` there), and put the certificate into that file only if they are the same',
  expired: 'its certificate has expired. Renew it there, and in `incus.server_certificate`',
  not_yet_valid: 'its certificate is not valid yet. Look at the clocks of both machines',
  other_name:
    'its certificate is for other names than that of `incus.url`. Use one of these, or name the certificate itself in `incus.server_certificate`',
};

function unreachable(address: string, cause: unknown): AppError {
  const problem = trustProblem(cause);
  return new AppError(
    'PROVIDER_UNAVAILABLE',
    problem === null
      ? `The Incus server at ${address} does not answer: ${socketProblem(cause)}. Start it, or name another one in \`incus\` of branchtab.yaml.`
      : `The Incus server at ${address} is not trusted: ${trustWords[problem]}.`,
    {cause},
  );
}

/** Ends with the connection; throws where there never was one. */
async function* readEvents(
  open: (events: WebsocketStreamEvents) => Promise<WebsocketStream>,
  {signal}: {signal: AbortSignal},
): AsyncGenerator<void> {
  signal.throwIfAborted();
  let isOver = false;
  // Whoever begins to listen has missed what was before.
  let pending = 1;
  let wake = () => {};
  const over = () => {
    isOver = true;
    wake();
  };
  const stream = await open({
    data() {
      pending += 1;
      wake();
    },
    drained() {},
    ended: over,
    closed: over,
  });
  signal.addEventListener('abort', over);
  try {
    while (!isOver && !signal.aborted) {
      if (pending > 0) {
        pending = 0;
        yield;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal.removeEventListener('abort', over);
    stream.close();
  }
}
