import {type Context, Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import {AppError} from '../schemas/errors.ts';
import {scriptPathSchema} from '../schemas/exec-api.ts';
import {moveScriptSchema, treeRequestSchema, writeScriptSchema} from '../schemas/exec-scripts.ts';
import {readListQuery, readOptionalFlag} from './exec-query.ts';
import {readJsonBody} from './json-body.ts';

const maxScriptBodyBytes = 16 * 1024 * 1024;
const maxRequestBodyBytes = 1024 * 1024;

/** Reading and writing single scripts, with paths below `/api/v1/exec`. */
export function execScriptRoutes(service: ExecService): Hono {
  const app = new Hono();

  app.post('/scripts/write', async (c) => {
    const body = await readJsonBody(c.req.raw, maxScriptBodyBytes);
    const written = await service.write(writeScriptSchema.parse(withQuery(body, c.req.query())));
    return c.json(written);
  });

  app.get('/scripts/read', async (c) => {
    return c.json(await service.read(scriptPath(c)));
  });

  app.get('/scripts/list', async (c) => {
    return c.json(await service.list(readListQuery(c.req.query())));
  });

  app.post('/scripts/tree', async (c) => {
    const request = treeRequestSchema.parse(await readJsonBody(c.req.raw, maxRequestBodyBytes));
    return c.json({baseDir: request.baseDir, tree: await service.tree(request)});
  });

  app.post('/scripts/move', async (c) => {
    const request = moveScriptSchema.parse(await readJsonBody(c.req.raw, maxRequestBodyBytes));
    return c.json(await service.move(request));
  });

  app.delete('/scripts/delete', async (c) => {
    if (c.req.query('confirm') !== 'true') {
      throw new AppError('CONFIRM_REQUIRED', 'confirm=true parameter required for safety');
    }
    return c.json(await service.delete(scriptPath(c)));
  });

  return app;
}

function scriptPath(c: Context): string {
  const parsed = scriptPathSchema.safeParse(c.req.query('path'));
  if (parsed.success) return parsed.data;
  throw new AppError(
    'INVALID_QUERY',
    'The query parameter `path` names no script, for example path=api/hello.ts.',
  );
}

/** Query parameters of the same names win over the body's. Throws AppError INVALID_QUERY. */
function withQuery(body: unknown, query: Record<string, string>): unknown {
  if (typeof body !== 'object' || body === null) return body;
  const names = ['path', 'execId', 'exec_id', 'subdomain'].filter((name) => query[name] !== undefined);
  const flags = ['validate', 'ifNotExists', 'createDirs', 'typecheck'].flatMap((name) => {
    const value = readOptionalFlag(query, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...body,
    ...Object.fromEntries(names.map((name) => [name, query[name]])),
    ...Object.fromEntries(flags),
  };
}
