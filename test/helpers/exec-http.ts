import {join, resolve} from 'node:path';
import type {ExecutionContext} from 'ava';
import {Hono} from 'hono';
import type {ControlPort} from '../../api/control-routes.ts';
import {filesRoutes} from '../../api/files-routes.ts';
import {createRuntimeApp} from '../../api/runtime-app.ts';
import {sqliteRoutes} from '../../api/sqlite-routes.ts';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createStorage} from '../../runtime/storage/service.ts';
import {fetchAsListener} from './call-script.ts';
import {type ExecWorld, execWorld} from './exec-world.ts';

export interface ExecHttp extends ExecWorld {
  /** A request as it would come over the wire; an object as body is sent as JSON. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** The same with the answer's status and its JSON. */
  json(method: string, path: string, body?: unknown): Promise<{status: number; body: unknown}>;
}

/** The exec kit, with real script hosts, and the kits of its data directory, behind their real routes. `trusted`: over the controller's socket. */
export async function execHttp(
  t: ExecutionContext,
  {
    trusted = false,
    maxFileBytes = 1_000_000,
    ...options
  }: {trusted?: boolean; maxFileBytes?: number} & Parameters<typeof execWorld>[1] = {},
): Promise<ExecHttp> {
  const world = await execWorld(t, options);
  const unused = () => {
    throw new Error('no test of the exec kit asks for this');
  };
  const control: ControlPort = {
    state: unused,
    setSchedule: unused,
    setLease: unused,
    setEnvironment: unused,
    applyChangeSet: unused,
    stopJobs: unused,
    packData: unused,
    replaceData: unused,
    seed: unused,
    shells: unused,
    on: () => () => {},
  };
  const storage = createStorage({
    root: world.home,
    directory: join(world.directory, 'storage'),
    command: ownCommand(resolve('runtime/start.ts')),
    clock: systemClock,
    maxFileBytes,
  });
  t.teardown(() => storage.databases.stop());
  const app = createRuntimeApp({
    exec: world.exec,
    cronApp: () => new Hono(),
    notificationRoutes: async () => new Hono(),
    control,
    health: async () => ({status: 'ok', started: '', pid: 1, ip: '', fds: null, built: null, memory: null}),
    trusted,
    allowedHosts: [],
    clock: options.clock ?? systemClock,
    log: silentLog,
    storageApp: async (kit) =>
      kit === 'files' ? filesRoutes(storage.files) : sqliteRoutes(storage.databases),
  });
  const fetch = fetchAsListener({app, calls: world.exec.calls, trusted});
  const request: ExecHttp['request'] = (method, path, body, headers = {}) =>
    fetch(
      new Request(`http://localhost${path}`, {
        method,
        headers: {host: 'localhost', ...headers},
        ...(body === undefined ? {} : {body: isRaw(body) ? body : JSON.stringify(body)}),
      }),
    );
  return {
    ...world,
    request,
    async json(method, path, body) {
      const response = await request(method, path, body);
      const text = await response.text();
      return {status: response.status, body: text === '' ? null : JSON.parse(text)};
    },
  };
}

function isRaw(body: unknown): body is string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  return typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream;
}
