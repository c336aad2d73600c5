import {type Context, Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import {deploymentSchema, rollbackSchema} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {
  moveScriptSchema,
  scriptPathSchema,
  treeRequestSchema,
  writeScriptSchema,
} from '../schemas/exec-api.ts';
import {readListQuery} from './exec-query.ts';
import {readJsonBody} from './json-body.ts';

const maxScriptBodyBytes = 16 * 1024 * 1024;
const maxRequestBodyBytes = 1024 * 1024;
const maxDeploymentBodyBytes = 256 * 1024 * 1024;

/** Script management, with paths below `/api/v1/exec`. `trusted`: deployments too, which only the controller may make. */
export function execRoutes(service: ExecService, {trusted}: {trusted: boolean}): Hono {
  const app = new Hono();

  app.post('/scripts/write', async (c) => {
    checkScope(c);
    const body = await readJsonBody(c.req.raw, maxScriptBodyBytes);
    const written = await service.write(writeScriptSchema.parse(withQuery(body, c.req.query())));
    return c.json(written);
  });

  app.get('/scripts/read', async (c) => {
    checkScope(c);
    return c.json(await service.read(scriptPath(c)));
  });

  app.get('/scripts/list', async (c) => {
    checkScope(c);
    return c.json(await service.list(readListQuery(c.req.query())));
  });

  app.post('/scripts/tree', async (c) => {
    checkScope(c);
    const request = treeRequestSchema.parse(await readJsonBody(c.req.raw, maxRequestBodyBytes));
    return c.json({baseDir: request.baseDir, tree: await service.tree(request)});
  });

  app.post('/scripts/move', async (c) => {
    checkScope(c);
    const request = moveScriptSchema.parse(await readJsonBody(c.req.raw, maxRequestBodyBytes));
    return c.json(await service.move(request));
  });

  app.delete('/scripts/delete', async (c) => {
    checkScope(c);
    if (c.req.query('confirm') !== 'true') {
      throw new AppError('CONFIRM_REQUIRED', 'confirm=true parameter required for safety');
    }
    return c.json(await service.delete(scriptPath(c)));
  });

  app.get('/deployments', (c) => c.json({deployments: service.versions()}));

  if (trusted) {
    app.post('/deployments/rollback', async (c) => {
      const to = rollbackSchema.parse(await readJsonBody(c.req.raw, maxRequestBodyBytes));
      return c.json(await service.rollBack(to));
    });

    app.put('/deployments', async (c) => {
      const deployment = deploymentSchema.parse(await readJsonBody(c.req.raw, maxDeploymentBodyBytes));
      return c.json(await service.deploy(deployment));
    });
  }

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

/** A container has one set of scripts; the id of the public API is taken as long as it could be one. */
function checkScope(c: Context): void {
  const execId = c.req.query('execId') ?? c.req.query('exec_id') ?? '1';
  if (/^[a-z0-9]{1,64}$/.test(execId)) return;
  throw new AppError(
    'INVALID_QUERY',
    'execId holds 1 to 64 lower-case letters and digits, no hyphen: it stands in a host name.',
  );
}

/** Query parameters of the same names win over the body's. */
function withQuery(body: unknown, {path, ...query}: Record<string, string>): unknown {
  if (typeof body !== 'object' || body === null) return body;
  const flags = (['validate', 'ifNotExists', 'createDirs'] as const).flatMap((name) =>
    query[name] === undefined ? [] : [[name, query[name] === 'true'] as const],
  );
  return {...body, ...(path === undefined ? {} : {path}), ...Object.fromEntries(flags)};
}
