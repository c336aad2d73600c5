import type {ControlPort} from '../api/control-routes.ts';
import {cronRoutes} from '../api/cron-routes.ts';
import {createExchangeRefusal} from '../api/exchange-refusal.ts';
import {createKitFront, type KitFrontOptions} from '../api/kit-front.ts';
import {createPeerGuard} from '../api/peer-guard.ts';
import {createRuntimeApp, type Health} from '../api/runtime-app.ts';
import packageJson from '../package.json' with {type: 'json'};
import {CONTROL_API_VERSION} from '../schemas/control.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {AppError} from '../schemas/errors.ts';
import {runVariable} from './cron/job-runner.ts';
import {ExchangeAnswer} from './exec/exchange-answer.ts';
import type {RuntimeFlags} from './flags.ts';
import type {PipeKit} from './pipe-main.ts';
import type {Authority} from './platform/authority.ts';
import {Frame} from './platform/byte-flow.ts';
import type {Clock} from './platform/clock.ts';
import {answerByFetch} from './platform/exchange-fetch.ts';
import {
  type Exchange,
  type ExchangeHandler,
  type HttpServer,
  serveExchanges,
} from './platform/http-exchange.ts';
import type {Log} from './platform/log.ts';
import {isPeerStartedWith, type Peer, peerVariable} from './platform/peer-process.ts';
import {readProcessFacts} from './platform/process-facts.ts';
import {asksForWebsocket} from './platform/request-head.ts';
import {createClientWebsocket} from './platform/websocket-client.ts';
import type {Services} from './services.ts';
import {containerAssignment} from './variables.ts';

export function healthOf(clock: Clock): () => Promise<Health> {
  const started = new Date(clock.now()).toISOString();
  return async () => ({status: 'ok', started, built: null, ...(await readProcessFacts())});
}

/** The pipe kit, which is loaded when it is first used: most containers never do. */
export interface Pipe {
  /** Of `--pipe-listen`. */
  readonly url: string | null;
  readonly handle: PipeKit['handle'];
  readonly orderPumps: PipeKit['orderPumps'];
  stop(options: {graceMs: number}): Promise<void>;
}

export async function preparePipe(
  flags: RuntimeFlags,
  services: {health: () => Promise<Health>; onUnused: () => void; clock: Clock; log: Log},
): Promise<Pipe> {
  let kit: Promise<PipeKit> | null = null;
  const start = () => {
    kit ??= import('./pipe-main.ts').then(({startPipeKit}) =>
      startPipeKit({address: flags.pipeListen, allowedHosts: flags.allowedHosts, ...services}),
    );
    return kit;
  };
  function forKit(exchange: Exchange, use: (kit: PipeKit) => void): void {
    start().then(use, (error: unknown) => {
      services.log.error('the pipe kit cannot be loaded', {error});
      exchange.takeOver((socket) => {
        socket.close();
        return {data() {}, drained() {}, ended() {}, closed() {}};
      });
    });
  }
  return {
    url: flags.pipeListen === null ? null : (await start()).url,
    handle: (exchange, from) => forKit(exchange, (kit) => kit.handle(exchange, from)),
    orderPumps: (exchange) => forKit(exchange, (kit) => kit.orderPumps(exchange)),
    stop: async (options) => (await kit)?.stop(options),
  };
}

/** The kits' listener, the same over HTTPS where that is asked for and possible, and the controller's if there is one. */
export async function listen(
  flags: RuntimeFlags,
  services: Services,
  {
    health,
    pipe,
    authority,
    clock,
    log,
  }: {health: () => Promise<Health>; pipe: Pipe; authority: Authority | null; clock: Clock; log: Log},
): Promise<[HttpServer, ...HttpServer[]]> {
  const {allowedHosts, container, controlSocket} = flags;
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
  const refuse = createExchangeRefusal((bytes) => new Frame(bytes));
  const front = (trusted: boolean, refusal: KitFrontOptions['refusal']) =>
    createKitFront({
      exec: services.exec,
      pipe: pipe.handle,
      orderPumps: pipe.orderPumps,
      app: app(trusted),
      trusted,
      allowedHosts,
      refusal,
      findRun: (peer) => findRun(services.cron, peer),
      asksForWebsocket,
      sinkOf: (exchange) => new ExchangeAnswer(exchange, {keepsConnection: true}),
      websocketOf: (exchange) => ({
        ...createClientWebsocket(exchange),
        answer: () => new ExchangeAnswer(exchange, {keepsConnection: false}),
      }),
      refuse,
      answerByFetch,
      log,
    });
  // Under a controller the network is shared with other containers; a person's own runtime is for everybody.
  const guard =
    controlSocket === null || container === null
      ? () => null
      : createPeerGuard((peer) => isPeerStartedWith(peer, containerAssignment(container)));
  const {fallbackPort} = flags;
  const own = front(false, guard);
  const kits = await serveExchanges(flags.listen, own, {fallbackPort});
  const secure = authority === null ? [] : await listenSecurely(flags, own, {authority, log});
  if (controlSocket === null) return [kits, ...secure];
  const control = await serveExchanges(
    {kind: 'unix', path: controlSocket},
    front(true, () => null),
  );
  return [kits, ...secure, control];
}

/** None where the port is not for us: over HTTP the names answer nevertheless. */
async function listenSecurely(
  {secureListen}: RuntimeFlags,
  handler: ExchangeHandler,
  {authority, log}: {authority: Authority; log: Log},
): Promise<HttpServer[]> {
  if (secureListen === null) return [];
  try {
    return [await serveExchanges(secureListen, handler, {certificate: authority.certificateOf})];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    log.warn('the names of this container do not answer over HTTPS', {problem: error.message});
    return [];
  }
}

function controlPort({control, cron, exec, workspace, storage, seed, shells}: Services): ControlPort {
  const state = (): ControlState => ({
    api_version: CONTROL_API_VERSION,
    runtime_version: packageJson.version,
    schedule: control.schedule(),
    lease: control.lease(),
    environment: {revision: control.environment().revision, digest: control.environmentDigest()},
    workspace: {tree: workspace.tree(), kept: [...workspace.kept()]},
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
    shells,
    on(listener) {
      const unsubscribes = [control.on(listener), cron.on(listener), exec.on(listener)];
      return () => {
        for (const unsubscribe of unsubscribes) unsubscribe();
      };
    },
  };
}

/** The run of the job that holds the other end. What a job of another user says of itself has to be true. */
function findRun(cron: Services['cron'], peer: Peer): string | null {
  if (cron.runningJobs() === 0) return null;
  const said = peerVariable(peer, runVariable);
  if (said === null || said.userId === null) return said?.value ?? null;
  return cron.isRunOf(said.value, said.userId) ? said.value : null;
}
