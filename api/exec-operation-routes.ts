import {type Context, Hono} from 'hono';
import type * as z from 'zod';
import type {ExecService} from '../runtime/exec/service.ts';
import {AppError} from '../schemas/errors.ts';
import {
  clearCacheSchema,
  clearStateSchema,
  getStateSchema,
  readLogSchema,
  reloadSchedulesSchema,
  restartSchema,
  scriptPerformanceRequestSchema,
  searchLogsSchema,
  setStateSchema,
  triggerScheduleSchema,
} from '../schemas/exec-operations.ts';
import {
  readFile,
  readHistoryQuery,
  readLimit,
  readLogsToClear,
  readLogType,
  readSort,
} from './exec-operation-query.ts';
import {readOptionalFlag} from './exec-query.ts';
import {readJsonBody} from './json-body.ts';

const maxBodyBytes = 1024 * 1024;
const prometheusText = 'text/plain; version=0.0.4; charset=utf-8';

/** The routes by which exec is watched and run, with paths below `/api/v1/exec`. */
export function execOperationRoutes(exec: ExecService): Hono {
  return new Hono()
    .route('/monitor', monitorRoutes(exec))
    .route('/logs', logRoutes(exec))
    .route('/schedules', scheduleRoutes(exec))
    .route('/', hostRoutes(exec));
}

function monitorRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.get('/stats', async (c) => c.json(await (await exec.management()).monitor.stats()));
  app.get('/active-requests', async (c) => {
    const active = (await exec.management()).monitor.active();
    return c.json({count: active.length, active});
  });
  app.get('/scripts', async (c) => {
    const {monitor} = await exec.management();
    const limit = readLimit(c.req.query(), {most: 500, otherwise: 100});
    const scripts = monitor.scripts({limit, sort: readSort(c.req.query())});
    return c.json({count: scripts.length, scripts});
  });
  app.get('/metrics', async (c) => {
    const {monitor} = await exec.management();
    return c.text(await monitor.metrics(), 200, {'Content-Type': prometheusText});
  });
  app.post('/script-performance', async (c) => {
    const {monitor} = await exec.management();
    const {scriptPath} = await body(c, scriptPerformanceRequestSchema);
    return c.json({metrics: monitor.script(scriptPath) ?? {}});
  });
  return app;
}

function logRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.get('/list', async (c) => {
    const {logs} = await exec.management();
    const query = c.req.query();
    const limit = readLimit(query, {most: 1000, otherwise: 100});
    return c.json(await logs.list({type: readLogType(query), limit}));
  });
  app.post('/read', async (c) => {
    const {logs} = await exec.management();
    return c.json(await logs.read(await body(c, readLogSchema)));
  });
  app.post('/search', async (c) => {
    const {logs} = await exec.management();
    return c.json(await logs.search(await body(c, searchLogsSchema)));
  });
  app.get('/stream', async (c) => {
    const {logs} = await exec.management();
    const left = new AbortController();
    const follow = readOptionalFlag(c.req.query(), 'follow') ?? true;
    const lines = await logs.stream({file: readFile(c.req.query()), follow, signal: left.signal});
    return new Response(lineStream(lines[Symbol.asyncIterator](), left), {
      headers: {'content-type': 'text/event-stream', 'cache-control': 'no-store'},
    });
  });
  app.delete('/clear', async (c) => {
    const {logs} = await exec.management();
    if (c.req.query('confirm') !== 'true')
      throw new AppError('CONFIRM_REQUIRED', 'confirm=true parameter required for safety');
    return c.json(await logs.clear(readLogsToClear(c.req.query())));
  });
  return app;
}

function scheduleRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.get('/list', async (c) => {
    const schedules = (await exec.management()).schedules.list();
    return c.json({count: schedules.length, schedules});
  });
  app.get('/history', async (c) => {
    const {schedules} = await exec.management();
    return c.json(await schedules.history(readHistoryQuery(c.req.query())));
  });
  app.post('/reload', async (c) => {
    const {schedules} = await exec.management();
    const {dry_run: dryRun} = await body(c, reloadSchedulesSchema);
    return c.json(await schedules.reload({dryRun}));
  });
  app.post('/trigger', async (c) => {
    const {schedules} = await exec.management();
    const {scriptPath, force} = await body(c, triggerScheduleSchema);
    return c.json(await schedules.trigger(scriptPath, {force}));
  });
  return app;
}

function hostRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.get('/list', (c) => c.json({count: 1, execIds: ['1']}));
  app.get('/system/restart-status', async (c) => c.json((await exec.management()).hosts.restartStatus()));
  app.post('/system/restart', async (c) => {
    const {hosts} = await exec.management();
    return c.json(await hosts.restart(await body(c, restartSchema)), 202);
  });
  app.post('/cache/clear', async (c) => {
    const {hosts} = await exec.management();
    return c.json(hosts.clearCache(await body(c, clearCacheSchema)));
  });
  app.post('/shared-state/get', async (c) => {
    const {hosts} = await exec.management();
    const {path = null} = await body(c, getStateSchema);
    return c.json({path, ...(await hosts.sharedState({action: 'get', path}))});
  });
  app.post('/shared-state/set', async (c) => {
    const {hosts} = await exec.management();
    const {path = null, value, merge} = await body(c, setStateSchema);
    return c.json({path, ...(await hosts.sharedState({action: 'set', path, value, merge}))});
  });
  app.post('/shared-state/clear', async (c) => {
    const {hosts} = await exec.management();
    const {path = null} = await body(c, clearStateSchema);
    return c.json({path, ...(await hosts.sharedState({action: 'clear', path}))});
  });
  return app;
}

async function body<T extends z.ZodType>(c: Context, schema: T): Promise<z.infer<T>> {
  const {raw} = c.req;
  const isEmpty = raw.body === null || raw.headers.get('content-length') === '0';
  return schema.parse(isEmpty ? {} : await readJsonBody(raw, maxBodyBytes));
}

/** Reads on only as fast as the client does. */
function lineStream(lines: AsyncIterator<string>, left: AbortController): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    start(stream) {
      stream.enqueue(encoder.encode(': connected\n\n'));
    },
    async pull(stream) {
      const {value, done} = await lines.next();
      if (done === true) {
        stream.enqueue(encoder.encode('event: end\ndata: {}\n\n'));
        stream.close();
      } else stream.enqueue(encoder.encode(`event: line\ndata: ${JSON.stringify({line: value})}\n\n`));
    },
    cancel: () => left.abort(),
  });
}
