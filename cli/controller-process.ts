import {createHash, randomBytes} from 'node:crypto';
import {mkdir} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {createAuth, sessionCookie} from '../api/auth.ts';
import {createControllerApp} from '../api/controller-app.ts';
import {createControllerFront} from '../api/controller-front.ts';
import {createControllerGuard} from '../api/controller-guard.ts';
import {createExchangeRefusal} from '../api/exchange-refusal.ts';
import {createGateway} from '../api/gateway.ts';
import {createRuntimeClient} from '../api/runtime-client.ts';
import {webhookRoutes} from '../api/webhooks.ts';
import {refuseFullHost} from '../reconciler/admission.ts';
import {openBackupStore} from '../reconciler/backups.ts';
import {createBranchData} from '../reconciler/branch-data.ts';
import {rememberScriptIssues, type ScriptImports} from '../reconciler/branch-files.ts';
import {type ContainerService, createContainerService} from '../reconciler/container-service.ts';
import type {Container, ContainerProvider} from '../reconciler/containers/provider.ts';
import {type Controller, createController} from '../reconciler/controller.ts';
import {createDeliveries} from '../reconciler/deliveries.ts';
import {openDeliveryLog} from '../reconciler/delivery-log.ts';
import {openEntryMirror} from '../reconciler/entry-mirror.ts';
import {isKept} from '../reconciler/environments.ts';
import {type FirstContacts, mostUnasked, openFirstContacts, takeCensus} from '../reconciler/first-contact.ts';
import {type Forks, openForks} from '../reconciler/forks.ts';
import {openJournal} from '../reconciler/journal.ts';
import {createPullRequests} from '../reconciler/pull-requests.ts';
import {openRecordStore} from '../reconciler/record-store.ts';
import type {WatchedRepository} from '../reconciler/repository-watch.ts';
import {openRunArchive} from '../reconciler/run-archive.ts';
import {openLocalSource} from '../reconciler/sources/git-local.ts';
import {openRemoteSource} from '../reconciler/sources/git-remote.ts';
import type {RemoteAccess} from '../reconciler/sources/remote-access.ts';
import {parseRepository} from '../reconciler/sources/repository-address.ts';
import type {Source} from '../reconciler/sources/source.ts';
import {createStandaloneContainers} from '../reconciler/standalone-containers.ts';
import {openUserTokens} from '../reconciler/user-tokens.ts';
import {createScriptInspector} from '../runtime/exec/script-inspector.ts';
import {isSmtpUrl} from '../runtime/flags.ts';
import {openDuct} from '../runtime/platform/byte-duct.ts';
import {Frame} from '../runtime/platform/byte-flow.ts';
import {serveWithCertificate} from '../runtime/platform/certificate.ts';
import {ownCommand} from '../runtime/platform/child-process.ts';
import {type Clock, systemClock} from '../runtime/platform/clock.ts';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {answerByFetch} from '../runtime/platform/exchange-fetch.ts';
import {relayExchange, relayWebsocket} from '../runtime/platform/exchange-relay.ts';
import {
  type ExclusiveLock,
  exclusiveLockHolder,
  takeExclusiveLock,
} from '../runtime/platform/exclusive-lock.ts';
import {readHostRoom} from '../runtime/platform/host-room.ts';
import {thisHost, unsupportedReason} from '../runtime/platform/host-support.ts';
import {type ExchangeHandler, type HttpServer, serveExchanges} from '../runtime/platform/http-exchange.ts';
import {lazily} from '../runtime/platform/lazily.ts';
import {parseListenAddress} from '../runtime/platform/listen-address.ts';
import type {Log} from '../runtime/platform/log.ts';
import {createPipeRelay} from '../runtime/platform/ordered-pumps.ts';
import {asksForWebsocket} from '../runtime/platform/request-head.ts';
import {createBranchFilter} from '../schemas/branch-glob.ts';
import type {Config, CredentialsConfig, RepositoryConfig} from '../schemas/config.ts';
import type {ContainerSettings} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {forgePath} from '../schemas/forge-path.ts';
import {branchScriptCheck} from './branch-script-check.ts';
import {openProvider} from './container-provider.ts';
import {
  hasControllerFile,
  readControllerFile,
  removeControllerFile,
  writeControllerFile,
} from './controller-file.ts';
import {openDeployers} from './deployers.ts';
import {environmentRules} from './environment-rules.ts';
import type {FirstMeeting} from './first-contact-question.ts';
import {openGitHub} from './github.ts';
import {openHookSecrets} from './hook-secrets.ts';
import {containerNamed} from './kit-names.ts';
import {openReports} from './reports.ts';
import {openOwnership, pauseFormerOwner} from './repository-owner.ts';
import {readSecret} from './secret.ts';
import type {Environment, Settings} from './settings.ts';
import {version} from './version.ts';

export interface ControllerProcess {
  readonly controller: Controller;
  readonly containers: ContainerService;
  readonly provider: ContainerProvider;
  readonly url: string;
  /** host:port that it listens on. */
  readonly listening: string;
  readonly repositories: readonly WatchedRepository[];
  /** A fresh login link. */
  loginLink(): string;
  /** Ends the controller; containers go on unless `stopContainers` asks them to stop. */
  stop(options: {stopContainers: boolean}): Promise<void>;
}

/** Texts of scripts whose check is remembered. */
const rememberedScripts = 20_000;

/** How long open requests may take when the controller stops. */
const closeGraceMs = 500;

export interface FirstContactPolicy {
  /** Run all of a repository that was never met, unasked. */
  readonly runAll: boolean;
  /** Asked before anything is changed; false where a person does not want it. */
  readonly agree: (meetings: readonly FirstMeeting[]) => Promise<boolean>;
}

/** Puts a controller together from its settings and starts it. Null where it is not wanted after all. Throws AppError before anything was changed where it cannot. */
export async function startControllerProcess({
  settings,
  environment,
  log,
  firstContact,
  takeOver,
}: {
  settings: Settings;
  environment: Environment;
  log: Log;
  firstContact: FirstContactPolicy;
  /** Take repositories that belong to other controllers. */
  takeOver: boolean;
}): Promise<ControllerProcess | null> {
  const unsupported = unsupportedReason(thisHost());
  if (unsupported !== null) throw new AppError('UNSUPPORTED_PLATFORM', unsupported);
  const {config, stateDirectory} = settings;
  const lock = await lockState(stateDirectory);
  try {
    const running = await startLocked({
      config,
      stateDirectory,
      environment,
      log,
      lock,
      firstContact,
      takeOver,
    });
    if (running === null) lock.release();
    return running;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Takes the state directory for this process. Throws AppError STATE_LOCKED naming the owner, STATE_UNREADABLE where it cannot be made. */
export async function lockState(stateDirectory: string): Promise<ExclusiveLock> {
  try {
    await mkdir(stateDirectory, {recursive: true, mode: 0o700});
    const lock = takeExclusiveLock(lockPath(stateDirectory));
    if (lock !== null) return lock;
  } catch (cause) {
    throw new AppError(
      'STATE_UNREADABLE',
      `The state directory ${stateDirectory} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}. Choose another with --state.`,
      {cause},
    );
  }
  const owner = await stateOwner(stateDirectory);
  const where = owner?.url == null ? '' : ` at ${owner.url}`;
  const who = owner === null ? 'Another controller' : `The controller with pid ${owner.pid}${where}`;
  throw new AppError(
    'STATE_LOCKED',
    `${who} owns ${stateDirectory}. Stop it with \`branchtab down\`, or use another --state.`,
  );
}

const lockPath = (stateDirectory: string) => join(stateDirectory, 'lock');

/** Who has the state directory; `url` is null while it starts and where its file is damaged. */
async function stateOwner(stateDirectory: string): Promise<{pid: number; url: string | null} | null> {
  const file = await readControllerFile(stateDirectory);
  const holder = await exclusiveLockHolder(lockPath(stateDirectory));
  if (holder === null || file?.pid === holder) return file;
  return {pid: holder, url: null};
}

/** The controller that has said where it is, to be asked to stop; null while nobody has. */
export async function announcedController(stateDirectory: string): Promise<number | null> {
  if (!(await hasControllerFile(stateDirectory))) return null;
  return (await stateOwner(stateDirectory))?.pid ?? null;
}

async function startLocked({
  config,
  stateDirectory,
  environment,
  log,
  lock,
  firstContact,
  takeOver,
}: {
  config: Config;
  stateDirectory: string;
  environment: Environment;
  log: Log;
  lock: ExclusiveLock;
  firstContact: FirstContactPolicy;
  takeOver: boolean;
}): Promise<ControllerProcess | null> {
  const clock = systemClock;
  const address = parseListenAddress(config.listen);
  if (address.kind === 'unix') {
    throw new AppError(
      'CONFIG_INVALID',
      `--listen ${config.listen}: browsers and other commands reach the API by host:port, for example 127.0.0.1:7070.`,
    );
  }
  const sources = await openSources(config, {stateDirectory, environment, log});
  const records = await openRecordStore({directory: join(stateDirectory, 'branches'), log});
  const contacts = openFirstContacts({
    directory: join(stateDirectory, 'repositories'),
    records,
    runUnasked: firstContact.runAll,
    clock,
  });
  const provider = await openProvider(config, {stateDirectory, environment, log});
  requireIsolation(config, sources, provider);
  if (!firstContact.runAll) {
    const strangers = await contacts.strangers(await provider.list(), sources);
    const unknown = sources.filter(({source}) => !strangers.has(source.repository));
    const agreed = await firstContact.agree(await newRepositories(unknown, {contacts, takeOver, log}));
    if (!agreed) {
      await provider.close();
      await Promise.all(sources.map(({source}) => source.close()));
      return null;
    }
  }
  for (const {ownership} of sources) {
    const replaced = (await ownership?.claim({takeOver})) ?? [];
    for (const former of replaced) await pauseFormerOwner(former, log);
  }
  const tokens = await openUserTokens({
    path: join(stateDirectory, 'tokens.json'),
    users: config.users.map(({name}) => name),
    nowMs: () => clock.now(),
  });
  const auth = createAuth({
    token: await readOrCreateToken(stateDirectory),
    userOfToken: tokens.userOf,
    now: () => clock.now(),
  });
  const hookSecrets = await openHookSecrets(config.webhooks, {
    readSecret: (source) => readSecret(source, environment),
    clock,
    log,
  });
  const deployers = await openDeployers(config.deployers, {
    isAdmin: auth.acceptsAuthorization,
    publicUrl: config.public_url?.replace(/\/+$/, '') ?? null,
    readSecret: (source) => readSecret(source, environment),
    clock,
    log,
  });
  let baseUrl = config.public_url?.replace(/\/+$/, '') ?? '';
  let ready = false;
  const client = ({controlSocket}: Container) => createRuntimeClient({socketPath: controlSocket});
  const containerSettings: ContainerSettings = {
    held_lines: [],
    smtp_url: await readSmtpUrl(config, environment),
    max_entries: config.max_entries,
    limits: null,
    users: config.users,
  };
  const limits = {
    previewsPerRepository: config.limits.previews_per_repository,
    minFreeDiskPercent: config.limits.min_free_disk_percent,
    minFreeMemoryPercent: config.limits.min_free_memory_percent,
  };
  const room = () => readHostRoom(stateDirectory);
  const inspector = createScriptInspector({
    command: ownCommand(Bun.main),
    directory: stateDirectory,
    clock,
  });
  const checkScript = branchScriptCheck(rememberScriptIssues(inspector.check, rememberedScripts));
  const scriptImports: ScriptImports = (script) => inspector.ask('imports', script);
  const gitHub = config.github === undefined ? null : openGitHub(config.github, {environment, clock, log});
  const controller = createController({
    repositories: sources,
    provider,
    forge: gitHub,
    records,
    contacts,
    journal: openJournal({directory: join(stateDirectory, 'journal'), clock, log}),
    archive: openRunArchive({directory: join(stateDirectory, 'runs'), clock}),
    data: createBranchData({
      backups: openBackupStore({directory: config.backups.directory ?? join(stateDirectory, 'backups')}),
      entries: openEntryMirror({directory: join(stateDirectory, 'entries')}),
      provider,
      client,
      clock,
      log,
      keep: config.backups.keep,
      intervalMs: config.backups.interval,
      stopGraceMs: config.stop_grace,
    }),
    client,
    checkScript,
    scriptImports,
    clock,
    log,
    random: Math.random,
    baseUrl: () => baseUrl,
    limits,
    room,
    readSecret: (source) => readSecret(source, environment),
    previewRun: config.previews.run,
    settings: containerSettings,
    leaseMs: config.previews.lease || null,
    timeZone: config.timezone,
    concurrency: config.concurrency,
    stopGraceMs: config.stop_grace,
  });
  const standalone = createStandaloneContainers({
    provider,
    client,
    clock,
    log,
    random: Math.random,
    settings: containerSettings,
    timeZone: config.timezone,
    concurrency: config.concurrency,
    stopGraceMs: config.stop_grace,
    admit: async () => refuseFullHost(await room(), limits),
  });
  const containers = createContainerService({
    controller,
    standalone,
    provider,
    baseUrl: () => baseUrl,
    retention: {
      keep: config.snapshots.keep ?? Number.POSITIVE_INFINITY,
      names: new Set(
        sources.flatMap(({environments}) => environments.flatMap(({snapshot}) => snapshot ?? [])),
      ),
    },
  });
  const ended = new AbortController();
  const reports =
    gitHub === null || config.github === undefined
      ? null
      : await openReports(config.github, {
          forge: gitHub,
          sources,
          controller,
          records,
          config,
          stateDirectory,
          checkScript,
          scriptImports,
          readSecret: (source) => readSecret(source, environment),
          clock,
          log,
        });
  const pullRequests = new Map(
    sources.flatMap(({source: {repository}, forgePath: path, environments, forks}) =>
      gitHub === null || config.github === undefined || path?.split('/')[0] !== gitHub.host
        ? []
        : [
            [
              repository,
              createPullRequests({
                forge: gitHub,
                repository,
                forgePath: path,
                records: () => [...records.all()].filter((record) => record.repository === repository),
                forks,
                isKept: (record) => isKept(environments, record),
                onRead: (pulls) => reports?.pullRequestsRead(repository, pulls),
                onEnded: () => controller.look(repository, {kind: 'pull_request'}),
                clock,
                log,
                random: Math.random,
                intervalMs: config.github.poll_interval,
                signal: ended.signal,
              }),
            ] as const,
          ],
    ),
  );
  const deliveries = createDeliveries({
    repositories: sources.map(({source, forgePath: path, forks}) => ({
      repository: source.repository,
      forgePath: path,
      servesForks: forks !== null,
    })),
    look: (repository, id) => controller.look(repository, {kind: 'webhook', id}),
    commitOf: controller.commitOf,
    skip: controller.skip,
    toldGone: controller.toldGone,
    onPullRequest: (repository) => void pullRequests.get(repository)?.look(),
    async onFork(repository, {forge, number, commit, label}) {
      const forks = sources.find(({source}) => source.repository === repository)?.forks ?? null;
      // Only GitHub's own signature says at which commit the label was put on.
      if (forge === 'github' && label !== null) await forks?.labelled({number, commit, label});
      await pullRequests.get(repository)?.look();
    },
    deliveryLog: await openDeliveryLog({path: join(stateDirectory, 'deliveries.jsonl'), log}),
    clock,
    log,
  });
  const app = createControllerApp({
    controller,
    containers,
    tokens,
    deliveries,
    forge: () =>
      gitHub === null || reports === null ? null : {budget: gitHub.budget(), reports: reports.status()},
    hooks: webhookRoutes({deliveries, secrets: hookSecrets, deployers}),
    auth,
    deployers,
    forgePathOf: (repository) =>
      sources.find(({source}) => source.repository === repository)?.forgePath ?? null,
    version,
    baseUrl: () => baseUrl,
    ready: () => ready,
    log,
  });
  const kitHosts = {
    domains: ['localhost', ...(config.domain === undefined ? [] : [config.domain])],
    aliases: new Map(Object.entries(config.aliases)),
  };
  const refuse = createExchangeRefusal((bytes) => new Frame(bytes));
  const duct = lazily(() => openDuct({program: Bun.main}));
  const front = createControllerFront({
    refusal: createControllerGuard({
      allowedHosts: config.public_url === undefined ? [] : [new URL(config.public_url).hostname],
      kitHosts,
    }),
    gateway: createGateway({
      socketOf: (name) => containerNamed(name, {controller, standalone})?.controlSocket ?? null,
      kitHosts,
      isOwnAuthorization: (header) => auth.acceptsAuthorization(header),
      userOf: (header) => auth.userOf(header),
      ownCookie: sessionCookie,
      relay: (relayed) => relayExchange(relayed, duct),
      relayPipe: createPipeRelay(duct),
      relayWebsocket,
      asksForWebsocket,
      refuse,
      log,
    }),
    app: async (request) => app.fetch(request),
    answerByFetch,
    refuse,
    log,
  });
  const server: HttpServer = await serveExchanges(address, front, {isUnpaced: true});
  const secure =
    config.tls === undefined
      ? null
      : await serveSecurely(config.tls, {front, clock, log}).catch(async (error: unknown) => {
          await server.close({graceMs: 0});
          throw error;
        });
  baseUrl = config.public_url === undefined ? server.url : baseUrl;
  try {
    await standalone.adopt();
    await controller.start();
    failOnFirstPass(controller);
    reports?.start();
    for (const pulls of pullRequests.values()) pulls.run();
    standalone.start();
    await writeControllerFile(stateDirectory, {
      url: server.url,
      tls_url: secure?.url ?? null,
      pid: process.pid,
      started_at: new Date(clock.now()).toISOString(),
      version,
    });
    ready = true;
  } catch (error) {
    ended.abort(new Error('the controller stops'));
    await standalone.close();
    await controller.stop();
    await deliveries.close();
    await reports?.close();
    await server.close({graceMs: 0});
    await secure?.close({graceMs: 0});
    throw error;
  }
  return {
    controller,
    containers,
    provider,
    url: baseUrl,
    listening: new URL(server.url).host,
    repositories: sources,
    loginLink: () => `${baseUrl}/login?code=${auth.createLoginCode()}`,
    async stop({stopContainers}) {
      ready = false;
      ended.abort(new Error('the controller stops'));
      await removeControllerFile(stateDirectory);
      await standalone.close();
      await controller.stop();
      await Promise.all([server, secure].map((each) => each?.close({graceMs: closeGraceMs})));
      await deliveries.close();
      await reports?.close();
      if (stopContainers) {
        await stopAll(provider, config.stop_grace);
        for (const {ownership} of sources) await ownership?.release();
      }
      lock.release();
    },
  };
}

/** Throws CONFIG_INVALID, ADDRESS_IN_USE. */
async function serveSecurely(
  tls: NonNullable<Config['tls']>,
  {front, clock, log}: {front: ExchangeHandler; clock: Clock; log: Log},
): Promise<HttpServer> {
  const address = parseListenAddress(tls.listen);
  if (address.kind !== 'tcp') throw new AppError('CONFIG_INVALID', 'tls.listen is host:port.');
  return await serveWithCertificate({
    files: tls,
    serve: (certificate, port) =>
      serveExchanges({...address, port: port ?? address.port}, front, {certificate}),
    clock,
    log,
  });
}

/** Stops every container at the same time and reports how many were running. */
export async function stopAll(provider: ContainerProvider, graceMs: number): Promise<number> {
  const running = (await provider.list()).filter(({state}) => state !== 'stopped');
  await Promise.all(running.map(({id}) => provider.stop(id, {graceMs, reason: 'down'})));
  return running.length;
}

async function readSmtpUrl({mail}: Config, environment: Environment): Promise<string | null> {
  if (mail === undefined) return null;
  const text = await readSecret(mail.smtp_url, environment).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('CONFIG_INVALID', `mail.smtp_url: ${reason}`, {cause});
  });
  // The message leaves the value out: it may hold a password.
  if (!isSmtpUrl(text))
    throw new AppError(
      'CONFIG_INVALID',
      'mail.smtp_url is smtp://[user:password@]host[:port], or the same with smtps://.',
    );
  return text;
}

async function openSources(
  config: Config,
  options: {stateDirectory: string; environment: Environment; log: Log},
): Promise<WatchedRepository[]> {
  const opened: WatchedRepository[] = [];
  for (const repository of config.repositories) {
    const source = await openSource(repository, options);
    if (opened.some((other) => other.source.repository === source.repository)) {
      await source.close();
      continue;
    }
    const path = forgePath(repository.forge_url ?? source.repository);
    opened.push({
      source,
      includes: createBranchFilter(repository.branches ?? config.branches),
      paths: repository.paths ?? null,
      live: repository.live ?? null,
      forgePath: path,
      forks: await openRepositoryForks(config, {path, source, ...options}),
      environments: [
        ...environmentRules(config.environments, 'environments'),
        ...environmentRules(repository.environments, `environments of ${source.repository}`),
      ],
      ownership: await openOwnership(source, {
        ...options,
        withRef: config.owner_ref,
        processOf: processWords,
      }),
      policy: policyOf(config, repository, source),
    });
  }
  return opened;
}

async function openRepositoryForks(
  {github}: Config,
  {
    path,
    source,
    stateDirectory,
    log,
  }: {path: string | null; source: Source; stateDirectory: string; log: Log},
): Promise<Forks | null> {
  if (github === undefined || path?.split('/')[0] !== github.host) return null;
  const {serve, label, most} = github.forks;
  if (serve === 'none') return null;
  const name = createHash('sha256').update(source.repository).digest('hex').slice(0, 16);
  return openForks({
    path: join(stateDirectory, 'forks', `${name}.json`),
    policy: {serve, label, most},
    log,
  });
}

/** Of the repositories that are ours to have, those that were never met and are too large to be run unasked. */
async function newRepositories(
  repositories: readonly WatchedRepository[],
  {contacts, takeOver, log}: {contacts: FirstContacts; takeOver: boolean; log: Log},
): Promise<FirstMeeting[]> {
  const {signal} = new AbortController();
  const meetings: FirstMeeting[] = [];
  for (const repository of repositories) {
    const {source, ownership} = repository;
    if (await contacts.isMet(source.repository)) continue;
    if (!takeOver && ((await ownership?.obstacle({everywhere: true})) ?? null) !== null) continue;
    const census = await takeCensus(repository, {log, signal}).catch((error: unknown) => {
      // The loop says so, and meets the repository when it can be read.
      log.warn('a repository that is new here cannot be read', {repository: source.repository, error});
      return null;
    });
    if (census !== null && census.branches.length > mostUnasked) meetings.push({census, source});
  }
  return meetings;
}

/** The controller on a state directory of this machine, for people. */
async function processWords(stateDirectory: string): Promise<string | null> {
  const owner = await stateOwner(stateDirectory);
  if (owner === null || (await exclusiveLockHolder(lockPath(stateDirectory))) === null) return null;
  return `pid ${owner.pid}${owner.url === null ? '' : ` at ${owner.url}`}`;
}

function policyOf(
  config: Config,
  repository: RepositoryConfig,
  {kind}: Pick<Source, 'kind'>,
): WatchedRepository['policy'] {
  return {
    drift: repository.drift ?? config.drift,
    undoWindowMs: repository.undo_window ?? config.undo_window,
    driftIntervalMs: repository.drift_interval ?? config.drift_interval,
    intervalMs:
      kind === 'local'
        ? (repository.poll_interval ?? config.poll_interval)
        : (repository.fetch_interval ?? config.fetch_interval),
  };
}

async function openSource(
  {repository, credentials}: RepositoryConfig,
  {stateDirectory, environment, log}: {stateDirectory: string; environment: Environment; log: Log},
): Promise<Source> {
  const address = parseRepository(repository);
  if (address.kind === 'local') {
    if (credentials !== undefined)
      throw new AppError('CONFIG_INVALID', `credentials of ${address.path}: a local path needs none.`);
    return openLocalSource({path: address.path, environment, clock: systemClock, log});
  }
  const name = createHash('sha256').update(address.display).digest('hex').slice(0, 16);
  const mirrorDirectory = join(stateDirectory, 'mirrors', `${name}.git`);
  const access = accessOf(credentials, environment);
  return openRemoteSource({
    url: address.url,
    access,
    mirrorDirectory,
    environment,
    clock: systemClock,
    log,
  });
}

function accessOf(credentials: CredentialsConfig | undefined, environment: Environment): RemoteAccess {
  if (credentials === undefined) return {kind: 'address'};
  if ('helper' in credentials) return {kind: 'helper', helper: credentials.helper};
  if ('ssh_key' in credentials) {
    const {ssh_key, known_hosts} = credentials;
    return {
      kind: 'ssh_key',
      keyFile: resolve(ssh_key),
      knownHostsFile: known_hosts === undefined ? null : resolve(known_hosts),
    };
  }
  const {user, token} = credentials;
  return {kind: 'token', user, read: () => readSecret(token, environment)};
}

/** Whoever can push to a remote runs code here: without a sandbox that is a decision for the operator. */
function requireIsolation(
  config: Config,
  sources: readonly WatchedRepository[],
  provider: ContainerProvider,
): void {
  const remote = sources.find(({source}) => source.kind === 'remote');
  if (provider.level === 'plain' && sources.some(({forks}) => forks !== null))
    throw new AppError(
      'SANDBOX_REQUIRED',
      'github.forks.serve would run commands of strangers as this user. Install bubblewrap (apt-get install bubblewrap) for a sandbox, use --provider docker, or set it to none.',
    );
  if (remote === undefined || provider.level !== 'plain' || config.trust_branches) return;
  throw new AppError(
    'SANDBOX_REQUIRED',
    `${remote.source.repository} is a remote repository: whoever can push to it would run commands as this user. Install bubblewrap (apt-get install bubblewrap) for a sandbox, or accept that with --trust-branches.`,
  );
}

/** With one repository that could not be read even once there is nothing to do; with several the others go on. */
function failOnFirstPass(controller: Controller): void {
  const repositories = controller.repositories();
  if (controller.branches().length > 0 || repositories.some(({error}) => error === null)) return;
  const [first] = repositories;
  if (first?.error) throw new AppError('REPOSITORY_UNREADABLE', first.error.message);
}

async function readOrCreateToken(stateDirectory: string): Promise<string> {
  const path = join(stateDirectory, 'token');
  const known = (await readTextIfPresent(path))?.trim();
  if (known !== undefined && known.length >= 32) return known;
  const token = `bt_${randomBytes(24).toString('hex')}`;
  await writeFileDurably(path, `${token}\n`, {mode: 0o600});
  return token;
}
