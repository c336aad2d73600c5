import {dirname, join} from 'node:path';
import type {Hono} from 'hono';
import {createCallFront} from '../api/call-front.ts';
import type {ControlPort} from '../api/control-routes.ts';
import {cronRoutes} from '../api/cron-routes.ts';
import {createPeerGuard} from '../api/peer-guard.ts';
import {createPipeFront} from '../api/pipe-front.ts';
import {createRuntimeApp, type Health} from '../api/runtime-app.ts';
import packageJson from '../package.json' with {type: 'json'};
import {CONTROL_API_VERSION} from '../schemas/control.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {AppError, isStorageFull} from '../schemas/errors.ts';
import {type Control, openControl} from './control/control.ts';
import {runVariable} from './cron/job-runner.ts';
import {type CronService, openCron} from './cron/service.ts';
import {type ExecService, openExec} from './exec/service.ts';
import {parseRuntimeFlags, type RuntimeFlags, runtimeUsage} from './flags.ts';
import type {NotificationOptions, NotificationService} from './notifications/service.ts';
import type {PipeKit} from './pipe-main.ts';
import {ownCommand} from './platform/child-process.ts';
import {type Clock, systemClock} from './platform/clock.ts';
import {readTextIfPresent, writeFileDurably} from './platform/durable-file.ts';
import {type ExclusiveLock, takeExclusiveLock} from './platform/exclusive-lock.ts';
import {mkdir} from './platform/files.ts';
import {type HttpServer, serveHttp} from './platform/http-server.ts';
import {createLog, type Log, writeToStandardError} from './platform/log.ts';
import {smtpDelivery} from './platform/mail-delivery.ts';
import {releaseMemory} from './platform/memory.ts';
import {isPeerStartedWith, peerVariable} from './platform/peer-process.ts';
import {readProcessFacts} from './platform/process-facts.ts';
import {createSecretMask} from './platform/secret-mask.ts';
import {fitsSockets, longestSocketDirectoryBytes} from './platform/socket-paths.ts';
import {whenQuiet} from './quiet.ts';
import type {StorageService} from './storage/service.ts';
import {containerAssignment, containerVariables} from './variables.ts';
import {openWorkspace, type Workspace} from './workspace/workspace.ts';

/** `runtime ...` serves one container until SIGTERM. */
export async function runtimeMain([word, ...args]: readonly string[]): Promise<void> {
  if (word === 'runtime' && (args.includes('--help') || args.includes('-h'))) {
    console.log(runtimeUsage);
    process.exit(0);
  }
  if (word !== 'runtime') {
    console.error(runtimeUsage);
    process.exit(2);
  }
  try {
    await serve(parseRuntimeFlags(args));
  } catch (error) {
    console.error(messageOf(error));
    process.exit(error instanceof AppError && error.code === 'CONFIG_INVALID' ? 2 : 1);
  }
}

/** A sentence for what people can mend, the error with its stack for everything else. */
function messageOf(error: unknown): unknown {
  if (error instanceof AppError) return `branchtab runtime: ${error.message}`;
  return isStorageFull(error)
    ? 'branchtab runtime: The disk of --data is full. Free some space and start it again.'
    : error;
}

interface Services {
  readonly control: Control;
  readonly cron: CronService;
  readonly exec: ExecService;
  readonly notifications: LazyNotifications;
  readonly workspace: Workspace;
  /** Opened at its first use. */
  readonly storage: () => Promise<StorageService>;
}

/** Most containers never notify anybody; the kit and its database are opened at the first request. */
interface LazyNotifications {
  routes(): Promise<Hono>;
  close(): void;
}

async function serve(flags: RuntimeFlags): Promise<void> {
  const clock = systemClock;
  const log = createLog(writeToStandardError, clock.now);
  for (const directory of [flags.data, flags.home]) await mkdir(directory, {recursive: true, mode: 0o700});
  const lock = takeExclusiveLock(join(flags.data, 'lock'));
  if (lock === null) {
    throw new AppError(
      'STATE_LOCKED',
      `Another runtime uses ${flags.data}. Stop it, or choose another --data.`,
    );
  }
  let kitUrl: string | null = null;
  const hasKitNames = /\bhoody-exec\b/.test((await readTextIfPresent('/etc/hosts')) ?? '');
  const noteActivity = whenQuiet({clock, quietMs, act: releaseMemory});
  const variablesOf = (given: Readonly<Record<string, string>>) =>
    containerVariables({
      given,
      path: process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      language: process.env.LANG ?? 'C.UTF-8',
      timeZone: flags.timeZone,
      home: flags.home,
      workspace: flags.workspace,
      container: flags.container,
      kitUrl,
      hasKitNames: hasKitNames && flags.controlSocket !== null,
    });
  const services = await openServices(flags, {clock, log, variablesOf, noteActivity});
  const health = healthOf(clock);
  const pipe = await preparePipe(flags, {health, onUnused: noteActivity, clock, log});
  const servers = await listen(flags, services, {health, pipe, clock, log});
  const [kits] = servers;
  kitUrl = kits.url.startsWith('http:') ? kits.url : null;
  services.cron.setScheduleState(services.control.schedule().state);
  services.cron.start({reboot: await isNewBoot(flags)});
  stopOnSignal(flags, services, {servers, pipe, lock, log});
  releaseMemoryWhenQuiet(services, noteActivity);
  announce(flags, {kitUrl: kits.url, pipeUrl: pipe.url});
}

async function openServices(
  flags: RuntimeFlags,
  {
    clock,
    log,
    variablesOf,
    noteActivity,
  }: {
    clock: Clock;
    log: Log;
    variablesOf: (given: Readonly<Record<string, string>>) => Record<string, string>;
    noteActivity: () => void;
  },
): Promise<Services> {
  const control = await openControl({
    directory: join(flags.data, 'control'),
    initial: flags.controlSocket === null ? 'running' : 'held',
  });
  const maskOf = rememberLast((secrets: Readonly<Record<string, string>>) =>
    createSecretMask(Object.values(secrets)),
  );
  const environment = () => {
    const {revision, variables, secrets} = control.environment();
    return {revision, variables: variablesOf({...variables, ...secrets}), mask: maskOf(secrets)};
  };
  const socketDirectory = await hostSocketDirectory(flags);
  const cron = await openCron({
    directory: join(flags.data, 'cron'),
    dataDirectory: flags.home,
    clock,
    log,
    defaultTimeZone: flags.timeZone,
    users: flags.users,
    environment,
    jitterSeed: flags.container ?? '',
    heldLines: () => control.environment().settings.held_lines,
    maxEntries: () => control.environment().settings.max_entries,
    mail: {
      delivery() {
        const url = control.environment().settings.smtp_url ?? flags.smtpUrl;
        return url === null ? null : smtpDelivery(url);
      },
      host: flags.container ?? 'localhost',
    },
  });
  let storage: Promise<StorageService> | null = null;
  return {
    control,
    cron,
    storage() {
      storage ??= import('./storage/service.ts').then(({createStorage}) =>
        createStorage({
          root: flags.home,
          directory: join(flags.data, 'storage'),
          command: ownCommand(Bun.main),
          clock,
        }),
      );
      return storage;
    },
    workspace: await openWorkspace({
      directory: flags.workspace,
      recordFile: join(flags.data, 'workspace.json'),
    }),
    notifications: lazyNotifications(
      {
        directory: join(flags.data, 'notifications'),
        clock,
        origin: () => control.environment().variables.HOODY_BRANCH ?? flags.container ?? 'this container',
      },
      noteActivity,
    ),
    exec: await openExec({
      directory: join(flags.data, 'exec'),
      homeDirectory: flags.home,
      socketDirectory,
      hostCommand: ownCommand(Bun.main),
      environment,
      clock,
      log,
      isScheduleOpen: () => control.schedule().state === 'running',
      idleMs: flags.execIdleMs,
      warm: flags.execWarm,
      maxResidentBytes: flags.execMemoryBytes,
      onRunCall: cron.addCall,
    }),
  };
}

function lazyNotifications(options: NotificationOptions, noteActivity: () => void): LazyNotifications {
  let opened: NotificationService | null = null;
  let routes: Promise<Hono> | null = null;
  const open = async () => {
    const [{notificationRoutes}, {openNotifications}] = await Promise.all([
      import('../api/notification-routes.ts'),
      import('./notifications/service.ts'),
    ]);
    opened = await openNotifications(options);
    return notificationRoutes(opened);
  };
  return {
    routes() {
      noteActivity();
      routes ??= open().catch((error: unknown) => {
        // The next request tries again.
        routes = null;
        throw error;
      });
      return routes;
    },
    close: () => opened?.close(),
  };
}

async function hostSocketDirectory({data, controlSocket}: RuntimeFlags): Promise<string> {
  const directory = controlSocket === null ? join(data, 'run') : dirname(controlSocket);
  if (!fitsSockets(directory)) {
    throw new AppError(
      'CONFIG_INVALID',
      `${directory} is too long for unix sockets. Choose a path of at most ${longestSocketDirectoryBytes} bytes.`,
    );
  }
  await mkdir(directory, {recursive: true, mode: 0o700});
  return directory;
}

function healthOf(clock: Clock): () => Promise<Health> {
  const started = new Date(clock.now()).toISOString();
  return async () => ({status: 'ok', started, built: null, ...(await readProcessFacts())});
}

/** The pipe kit, which is loaded when it is first used: most containers never do. */
interface Pipe {
  /** Of `--pipe-listen`. */
  readonly url: string | null;
  socketPath(): Promise<string>;
  stop(options: {graceMs: number}): Promise<void>;
}

async function preparePipe(
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
async function listen(
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
      openPipes(incoming, outgoing) ||
      openCalls.intercept(incoming, outgoing),
    upgrade(incoming, socket) {
      if (guard?.upgrade(incoming, socket) !== true) openCalls.upgrade(incoming, socket);
    },
  });
  if (controlSocket === null) return [kits];
  const ownCalls = callFront(true);
  const ownPipes = pipeFront(true);
  const control = await serveHttp({kind: 'unix', path: controlSocket}, app(true).fetch, {
    intercept: (incoming, outgoing) => ownPipes(incoming, outgoing) || ownCalls.intercept(incoming, outgoing),
    upgrade: ownCalls.upgrade,
  });
  return [kits, control];
}

function controlPort({control, cron, exec, workspace}: Services): ControlPort {
  const state = (): ControlState => ({
    api_version: CONTROL_API_VERSION,
    runtime_version: packageJson.version,
    schedule: control.schedule(),
    environment: {revision: control.environment().revision, digest: control.environmentDigest()},
    workspace: {tree: workspace.tree()},
    deployment: {digest: exec.digest(), commit: exec.commit()},
    ...cron.summary(),
  });
  return {
    state,
    async setSchedule(change) {
      await control.setSchedule(change);
      cron.setScheduleState(change.state);
    },
    setEnvironment: (change) => control.setEnvironment(change),
    applyChangeSet: (body) => workspace.apply(body),
    stopJobs: (options) => cron.stop(options),
    on(listener) {
      const unsubscribes = [control.on(listener), cron.on(listener), exec.on(listener)];
      return () => {
        for (const unsubscribe of unsubscribes) unsubscribe();
      };
    },
  };
}

/** The answer for the same object is worked out once. */
function rememberLast<K extends object, V>(work: (key: K) => V): (key: K) => V {
  let last: {key: K; value: V} | null = null;
  return (key) => {
    if (last?.key !== key) last = {key, value: work(key)};
    return last.value;
  };
}

/** A restart after a crash has the same id; then `@reboot` lines have had their run. */
async function isNewBoot({data, boot}: RuntimeFlags): Promise<boolean> {
  if (boot === null) return true;
  const path = join(data, 'boot');
  if ((await readTextIfPresent(path)) === boot) return false;
  await writeFileDurably(path, boot);
  return true;
}

const quietMs = 10_000;

/** Most containers wait for hours after a deployment; dozens of them share one machine. */
function releaseMemoryWhenQuiet({control, cron, exec}: Services, noteActivity: () => void): void {
  for (const service of [control, cron, exec]) {
    service.on(({type}) => {
      // Jobs run in processes of their own and leave little here.
      if (type !== 'run_started' && type !== 'run_finished') noteActivity();
    });
  }
  noteActivity();
}

const callGraceMs = 1000;
/** By then all calls have ended or were cut; what is left are connections kept open for more. */
const connectionGraceMs = 100;

/** The kits answer until the last job has ended, since jobs call them. A second signal ends the wait. */
function stopOnSignal(
  flags: RuntimeFlags,
  {cron, exec, notifications}: Services,
  {servers, pipe, lock, log}: {servers: readonly HttpServer[]; pipe: Pipe; lock: ExclusiveLock; log: Log},
): void {
  const stop = async () => {
    const {graceMs} = flags;
    await Promise.all([cron.stop({graceMs, reason: 'shutdown'}), pipe.stop({graceMs})]);
    await exec.stop({graceMs: callGraceMs});
    await Promise.all(servers.map((server) => server.close({graceMs: connectionGraceMs})));
    cron.close();
    notifications.close();
    lock.release();
    process.exit(0);
  };
  let stopping = false;
  const onSignal = async (signal: string) => {
    log.info('stopping', {signal});
    if (stopping) return Promise.all([cron.stop({graceMs: 0, reason: 'shutdown'}), pipe.stop({graceMs: 0})]);
    stopping = true;
    return stop();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      onSignal(signal).catch((error: unknown) => {
        log.error('could not stop in order', {error});
        process.exit(1);
      });
    });
  }
}

/** Under a controller: one line of JSON, and never anything more on stdout. */
function announce(
  {controlSocket}: RuntimeFlags,
  {kitUrl, pipeUrl}: {kitUrl: string; pipeUrl: string | null},
): void {
  if (controlSocket === null) {
    process.stdout.write(`branchtab runtime listens on ${kitUrl}\n`);
    if (pipeUrl !== null) process.stdout.write(`pipe service listens on ${pipeUrl}\n`);
    return;
  }
  const ready = {ready: true, pid: process.pid, kit_url: kitUrl, runtime_version: packageJson.version};
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}
