import {join} from 'node:path';
import {createCallFront} from '../api/call-front.ts';
import type {ControlPort} from '../api/control-routes.ts';
import {cronRoutes} from '../api/cron-routes.ts';
import {createPeerGuard} from '../api/peer-guard.ts';
import {createPipeFront} from '../api/pipe-front.ts';
import {createRuntimeApp, type Health} from '../api/runtime-app.ts';
import packageJson from '../package.json' with {type: 'json'};
import {CONTROL_API_VERSION} from '../schemas/control.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {runVariable} from './cron/job-runner.ts';
import type {RuntimeFlags} from './flags.ts';
import type {PipeKit} from './pipe-main.ts';
import type {Clock} from './platform/clock.ts';
import {type HttpServer, serveHttp} from './platform/http-server.ts';
import type {Log} from './platform/log.ts';
import {isPeerStartedWith, peerVariable} from './platform/peer-process.ts';
import {readProcessFacts} from './platform/process-facts.ts';
import {hostSocketDirectory, type Services} from './services.ts';
import {containerAssignment} from './variables.ts';

export function healthOf(clock: Clock): () => Promise<Health> {
  const started = new Date(clock.now()).toISOString();
  return async () => ({status: 'ok', started, built: null, ...(await readProcessFacts())});
}

/** The pipe kit, which is loaded when it is first used: most containers never do. */
export interface Pipe {
  /** Of `--pipe-listen`. */
  readonly url: string | null;
  socketPath(): Promise<string>;
  stop(options: {graceMs: number}): Promise<void>;
}

export async function preparePipe(
  flags: RuntimeFlags,
  services: {health: () => Promise<Health>; onUnused: () => void; clock: Clock; log: Log},
): Promise<Pipe> {
  const socketPath = join(await hostSocketDirectory(flags), 'pipe.sock');
  let kit: Promise<PipeKit> | null = null;
  const start = () => {
    kit ??= import('./pipe-main.ts').then(({startPipeKit}) =>
      startPipeKit({socketPath, address: flags.pipeListen, allowedHosts: flags.allowedHosts, ...services}),
    );
    return kit;
  };
  return {
    url: flags.pipeListen === null ? null : (await start()).url,
    async socketPath() {
      await start();
      return socketPath;
    },
    stop: async (options) => (await kit)?.stop(options),
  };
}

/** The kits' listener, then the controller's if there is one. */
export async function listen(
  flags: RuntimeFlags,
  services: Services,
  {health, pipe, clock, log}: {health: () => Promise<Health>; pipe: Pipe; clock: Clock; log: Log},
): Promise<[HttpServer, ...HttpServer[]]> {
  const {allowedHosts} = flags;
  const pipeFront = (trusted: boolean) =>
    createPipeFront({socketPath: pipe.socketPath, trusted, allowedHosts, log});
  const app = (trusted: boolean) =>
    createRuntimeApp({
      exec: services.exec,
      cronApp: (lists) => cronRoutes(services.cron, {lists}),
      notificationRoutes: services.notifications.routes,
      control: controlPort(services),
      health,
      trusted,
      allowedHosts,
      clock,
      log,
      storageApp: async (kit) => {
        const {databases, files} = await services.storage();
        if (kit === 'files') return (await import('../api/files-routes.ts')).filesRoutes(files);
        return (await import('../api/sqlite-routes.ts')).sqliteRoutes(databases);
      },
    });
  const {container, controlSocket} = flags;
  const callFront = (trusted: boolean) =>
    createCallFront({
      exec: services.exec,
      trusted,
      allowedHosts,
      findRun: (peer) => (services.cron.runningJobs() === 0 ? null : peerVariable(peer, runVariable)),
      log,
    });
  const openCalls = callFront(false);
  const openPipes = pipeFront(false);
  // Under a controller the network is shared with other containers; a person's own runtime is for everybody.
  const guard =
    controlSocket === null || container === null
      ? null
      : createPeerGuard((peer) => isPeerStartedWith(peer, containerAssignment(container)));
  const kits = await serveHttp(flags.listen, app(false).fetch, {
    fallbackPort: flags.fallbackPort,
    intercept: (incoming, outgoing) =>
      guard?.intercept(incoming, outgoing) === true ||
      openCalls.intercept(incoming, outgoing) ||
      openPipes.intercept(incoming, outgoing),
    upgrade(incoming, socket) {
      if (guard?.upgrade(incoming, socket) === true || openPipes.upgrade(incoming, socket)) return;
      openCalls.upgrade(incoming, socket);
    },
  });
  if (controlSocket === null) return [kits];
  const ownCalls = callFront(true);
  const ownPipes = pipeFront(true);
  const control = await serveHttp({kind: 'unix', path: controlSocket}, app(true).fetch, {
    intercept: (incoming, outgoing) =>
      ownCalls.intercept(incoming, outgoing) || ownPipes.intercept(incoming, outgoing),
    upgrade: ownCalls.upgrade,
  });
  return [kits, control];
}

function controlPort({control, cron, exec, workspace, storage, seed}: Services): ControlPort {
  const state = (): ControlState => ({
    api_version: CONTROL_API_VERSION,
    runtime_version: packageJson.version,
    schedule: control.schedule(),
    lease: control.lease(),
    environment: {revision: control.environment().revision, digest: control.environmentDigest()},
    workspace: {tree: workspace.tree()},
    deployment: {digest: exec.digest(), commit: exec.commit()},
    ...cron.summary(),
  });
  return {
    state,
    setSchedule: (change) => control.setSchedule(change),
    setLease: (change) => control.setLease(change),
    setEnvironment: (change) => control.setEnvironment(change),
    applyChangeSet: (body) => workspace.apply(body),
    stopJobs: (options) => cron.stop(options),
    packData: async () => (await storage()).archive.pack(),
    replaceData: async (body) => (await storage()).archive.replace(body),
    seed,
    on(listener) {
      const unsubscribes = [control.on(listener), cron.on(listener), exec.on(listener)];
      return () => {
        for (const unsubscribe of unsubscribes) unsubscribe();
      };
    },
  };
}
