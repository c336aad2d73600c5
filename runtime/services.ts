import {dirname, join} from 'node:path';
import type {Hono} from 'hono';
import {branchMissing, type EnvironmentChange} from '../schemas/control.ts';
import type {SeedRequest, SeedResult} from '../schemas/data-archive.ts';
import {AppError} from '../schemas/errors.ts';
import {startsPaused} from './boot.ts';
import {type Control, openControl} from './control/control.ts';
import type {Shells} from './control/shells.ts';
import {type CronService, openCron} from './cron/service.ts';
import {type ExecService, openExec} from './exec/service.ts';
import type {RuntimeFlags} from './flags.ts';
import type {NotificationOptions, NotificationService} from './notifications/service.ts';
import {ownCommand} from './platform/child-process.ts';
import type {Clock} from './platform/clock.ts';
import {mkdir} from './platform/files.ts';
import {rememberLast} from './platform/lazily.ts';
import type {Log} from './platform/log.ts';
import {smtpDelivery} from './platform/mail-delivery.ts';
import {createSecretMask} from './platform/secret-mask.ts';
import {fitsSockets, longestSocketDirectoryBytes} from './platform/socket-paths.ts';
import type {StorageService} from './storage/service.ts';
import {openWorkspace, type Workspace} from './workspace/workspace.ts';

export interface Services {
  readonly control: Control;
  readonly cron: CronService;
  readonly exec: ExecService;
  readonly notifications: LazyNotifications;
  readonly workspace: Workspace;
  /** Opened at its first use. */
  readonly storage: () => Promise<StorageService>;
  /** Runs a file of the workspace in the data directory. */
  readonly seed: (request: SeedRequest) => Promise<SeedResult>;
  /** Programs that people run; loaded for the first of them. */
  readonly shells: () => Promise<Shells>;
}

/** Most containers never notify anybody; the kit and its database are opened at the first request. */
interface LazyNotifications {
  routes(): Promise<Hono>;
  close(): void;
}

export async function openServices(
  flags: RuntimeFlags,
  {
    boot,
    clock,
    log,
    variablesOf,
    noteActivity,
  }: {
    /** As of `readBoot`. */
    boot: string | null;
    clock: Clock;
    log: Log;
    /** The same object for the same variables, until the kits have an address. */
    variablesOf: (given: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
    noteActivity: () => void;
  },
): Promise<Services> {
  const control = await openControl({
    directory: join(flags.data, 'control'),
    initial: flags.controlSocket === null ? 'running' : 'held',
    clock,
    log,
  });
  if (startsPaused(boot) && control.schedule().state === 'running')
    await control.setSchedule({state: 'paused', reason: branchMissing});
  const maskOf = rememberLast((secrets: Readonly<Record<string, string>>) =>
    createSecretMask(Object.values(secrets)),
  );
  const givenOf = rememberLast(({variables, secrets}: EnvironmentChange) => ({...variables, ...secrets}));
  const environmentOf = rememberLast((variables: Readonly<Record<string, string>>) => {
    const {revision, secrets} = control.environment();
    return {revision, variables, mask: maskOf(secrets)};
  });
  // The same object as long as nothing changed: it is asked for at every call of a script.
  const environment = () => environmentOf(variablesOf(givenOf(control.environment())));
  const socketDirectory = await hostSocketDirectory(flags);
  const cron = await openCron({
    directory: join(flags.data, 'cron'),
    dataDirectory: flags.home,
    clock,
    log,
    defaultTimeZone: flags.timeZone,
    users: flags.users,
    configuredUsers: () => control.environment().settings.users,
    environment,
    jitterSeed: flags.container ?? '',
    heldLines: () => control.environment().settings.held_lines,
    limits: () => control.environment().settings.limits,
    async measureDisk() {
      const {diskUsage} = await import('./platform/disk-usage.ts');
      return (await diskUsage(flags.home)) + (await diskUsage(flags.workspace));
    },
    maxEntries: () => control.environment().settings.max_entries,
    mail: {
      delivery() {
        const url = control.environment().settings.smtp_url ?? flags.smtpUrl;
        return url === null ? null : smtpDelivery(url);
      },
      host: flags.container ?? 'localhost',
    },
  });
  control.on(({type}) => {
    if (type === 'schedule_changed') cron.setScheduleState(control.gate());
  });
  let storage: Promise<StorageService> | null = null;
  let shells: Promise<Shells> | null = null;
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
    async seed(request) {
      const {runSeed} = await import('./control/seed.ts');
      return runSeed(request, {workspace: flags.workspace, home: flags.home, clock, ...environment()});
    },
    shells() {
      shells ??= import('./control/shells.ts').then(({createShells}) =>
        createShells({
          home: flags.home,
          clock,
          variables: () => environment().variables,
          accountOf: async (user) => (await cron.findUser(user)).account,
        }),
      );
      return shells;
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
      isScheduleOpen: () => control.gate() === 'running',
      idleMs: flags.execIdleMs,
      warm: flags.execWarm,
      maxResidentBytes: flags.execMemoryBytes,
      onRunCall: cron.addCall,
      onCall: noteActivity,
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

export async function hostSocketDirectory({data, controlSocket}: RuntimeFlags): Promise<string> {
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
