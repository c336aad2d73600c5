import {Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {KIT_HEADER, type Kit, USER_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {type ControlPort, controlRoutes} from './control-routes.ts';
import {errorHandler, errorResponse} from './errors.ts';
import {execRoutes} from './exec-routes.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';

export interface RuntimeApp {
  /** `target` is path and query as they came over the wire. */
  fetch(request: Request, target?: string): Promise<Response>;
}

/** The nine fields of the public health answer, but for `service` and the spelling of `user_agent`. */
export interface Health {
  readonly status: 'ok';
  readonly started: string;
  readonly pid: number;
  readonly ip: string;
  readonly fds: number | null;
  readonly built: string | null;
  readonly memory: {readonly rss: number; readonly heap: number | null} | null;
}

/**
 * HTTP of one container. `trusted` is the app of the controller's socket: no Host check, the kit header is
 * believed, and control and deployment routes exist for requests without it. `cronApp` makes cron's routes with one of the list forms;
 * `notificationRoutes` opens its kit at the first request.
 */
export function createRuntimeApp({
  exec,
  cronApp,
  notificationRoutes,
  control,
  health,
  trusted,
  allowedHosts,
  clock,
  log,
  storageApp,
}: {
  exec: ExecService;
  cronApp: (lists: 'envelope' | 'array') => Hono;
  notificationRoutes: () => Promise<Hono>;
  control: ControlPort;
  health: () => Promise<Health>;
  trusted: boolean;
  allowedHosts: readonly string[];
  clock: Clock;
  log: Log;
  /** Makes the routes of the data directory at their first use. */
  storageApp?: (kit: 'sqlite' | 'files') => Promise<Hono>;
}): RuntimeApp {
  const withErrors = (app: Hono) => {
    app.onError(errorHandler(log));
    app.notFound((c) =>
      errorResponse(new AppError('NOT_FOUND', `No route ${c.req.method} ${c.req.path}.`), log),
    );
    return app;
  };
  const healthOf = (kit: Kit | 'branchtab') => async (userAgent: string | null) => {
    const agent = kit === 'cron' ? {user_agent: userAgent} : {userAgent};
    return Response.json({...(await health()), service: kit, ...agent});
  };
  const seldomManagement = once(async () => {
    const {execManagementRoutes} = await import('./exec-management-routes.ts');
    return withErrors(new Hono().route('/api/v1/exec', execManagementRoutes(exec)));
  });
  const management = (withDeployments: boolean) =>
    withErrors(
      new Hono()
        .get('/api/v1/exec/health', (c) => healthOf('exec')(c.req.header('user-agent') ?? null))
        .route('/api/v1/exec', execRoutes(exec, {trusted: withDeployments}))
        .all('/api/v1/exec/*', async (c) => (await seldomManagement()).fetch(c.req.raw)),
    );
  const openManagement = management(false);
  // Requests of the gateway come over the controller's socket too; they carry the kit header.
  const ownManagement = trusted ? management(true) : openManagement;
  const cron = withErrors(
    new Hono()
      .get('/health', (c) => healthOf('cron')(c.req.header('user-agent') ?? null))
      .get('/healthz', (c) => c.text('ok\n'))
      .get('/api/v1/cron/health', (c) => healthOf('cron')(c.req.header('user-agent') ?? null))
      .route('/api/v1/cron', cronApp('array'))
      .route('/', cronApp('envelope')),
  );
  let openedNotifications: Hono | null = null;
  const notifications = async () => {
    const routes = await notificationRoutes();
    openedNotifications ??= withErrors(
      new Hono()
        .get('/health', (c) => healthOf('notifications')(c.req.header('user-agent') ?? null))
        .get('/healthz', (c) => c.text('ok\n'))
        .get('/api/v1/notifications/health', (c) =>
          healthOf('notifications')(c.req.header('user-agent') ?? null),
        )
        .route('/api/v1/notifications', routes)
        .route('/', routes),
    );
    return openedNotifications;
  };
  const controller = withErrors(new Hono().route('/api/v1/control', controlRoutes(control, {clock})));

  const storage = new Map<'sqlite' | 'files', Promise<Hono>>();
  async function answerStorage(kit: 'sqlite' | 'files', request: Request): Promise<Response> {
    if (storageApp === undefined)
      throw new AppError('NOT_IMPLEMENTED', `This runtime has no ${kit} service.`);
    const app =
      storage.get(kit) ??
      storageApp(kit).then((routes) => withErrors(new Hono().route(`/api/v1/${kit}`, routes)));
    storage.set(kit, app);
    return (await app).fetch(request);
  }

  async function answer(request: Request, target: string): Promise<Response> {
    const {headers} = request;
    if (!trusted) refuseMisdirected(headers.get('host'), allowedHosts);
    const path = target.split('?', 1)[0] ?? '/';
    const kitHeader = trusted ? headers.get(KIT_HEADER) : null;
    const selection = selectKit({host: headers.get('host') ?? '', kitHeader, path});
    refuseForeign(headers);
    switch (selection.part) {
      case 'exec':
        // Calls of scripts were answered before they came here.
        return (kitHeader === null ? ownManagement : openManagement).fetch(request);
      case 'cron':
        if (!trusted && headers.has(USER_HEADER))
          throw new AppError('FORBIDDEN', 'Only the controller says whose token came with a request.');
        return cron.fetch(request);
      case 'notifications':
        return (await notifications()).fetch(request);
      case 'sqlite':
      case 'files':
        if (path === `/api/v1/${selection.part}/health`)
          return healthOf(selection.part)(headers.get('user-agent'));
        return answerStorage(selection.part, request);
      case 'control':
        if (!trusted) throw new AppError('NOT_FOUND', `No route ${request.method} ${path}.`);
        return controller.fetch(request);
      case 'health':
        return path === '/healthz' ? new Response('ok\n') : healthOf('branchtab')(headers.get('user-agent'));
      default:
        throw new AppError('NOT_IMPLEMENTED', `This runtime has no ${selection.part} service yet.`);
    }
  }

  return {
    async fetch(request, target = targetOf(request)) {
      try {
        return await answer(request, target);
      } catch (error) {
        return errorResponse(error, log);
      }
    },
  };
}

function targetOf(request: Request): string {
  const {pathname, search} = new URL(request.url);
  return `${pathname}${search}`;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}
