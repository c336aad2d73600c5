import {Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {KIT_HEADER, type Kit} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {callScript} from './call-response.ts';
import {type ControlPort, controlRoutes} from './control-routes.ts';
import {errorHandler, errorResponse} from './errors.ts';
import {execRoutes} from './exec-routes.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';

export interface RuntimeApp {
  fetch(request: Request, from?: Caller): Promise<Response>;
}

export interface Caller {
  readonly clientIp: string;
  /** Request target as it came over the wire. */
  readonly target: string;
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
 * believed, and control and deployment routes exist for requests without it. `cronApp` makes cron's routes with one of the list forms.
 */
export function createRuntimeApp({
  exec,
  cronApp,
  control,
  health,
  trusted,
  allowedHosts,
  clock,
  log,
}: {
  exec: ExecService;
  cronApp: (lists: 'envelope' | 'array') => Hono;
  control: ControlPort;
  health: () => Promise<Health>;
  trusted: boolean;
  allowedHosts: readonly string[];
  clock: Clock;
  log: Log;
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
  const management = (withDeployments: boolean) =>
    withErrors(
      new Hono()
        .get('/api/v1/exec/health', (c) => healthOf('exec')(c.req.header('user-agent') ?? null))
        .route('/api/v1/exec', execRoutes(exec, {trusted: withDeployments})),
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
  const controller = withErrors(new Hono().route('/api/v1/control', controlRoutes(control, {clock})));

  async function answer(request: Request, {clientIp, target}: Caller): Promise<Response> {
    const {headers} = request;
    if (!trusted) refuseMisdirected(headers, allowedHosts);
    const path = target.split('?', 1)[0] ?? '/';
    const kitHeader = trusted ? headers.get(KIT_HEADER) : null;
    const selection = selectKit({host: headers.get('host') ?? '', kitHeader, path});
    if (selection.part === 'exec' && !selection.prefixed)
      return callScript(exec.calls, request, {path, target, clientIp, findRun: () => null});
    refuseForeign(headers);
    switch (selection.part) {
      case 'exec':
        return (kitHeader === null ? ownManagement : openManagement).fetch(request);
      case 'cron':
        return cron.fetch(request);
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
    async fetch(request, from = {clientIp: '', target: targetOf(request)}) {
      try {
        return await answer(
          request,
          from.target.startsWith('/') ? from : {...from, target: targetOf(request)},
        );
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
