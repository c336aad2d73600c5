import {type Context, Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import {deploymentSchema} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {scriptPathSchema, writeScriptSchema} from '../schemas/exec-api.ts';
import {executionRoutes} from './execution-routes.ts';
import {readJsonBody} from './json-body.ts';

const maxScriptBodyBytes = 16 * 1024 * 1024;
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

  app.get('/scripts/list', (c) => {
    checkScope(c);
    return c.json(
      service.list({directory: c.req.query('dir') ?? '', recursive: c.req.query('recursive') !== 'false'}),
    );
  });

  app.delete('/scripts/delete', async (c) => {
    checkScope(c);
    if (c.req.query('confirm') !== 'true') {
      throw new AppError('CONFIRM_REQUIRED', 'confirm=true parameter required for safety');
    }
    return c.json(await service.delete(scriptPath(c)));
  });

  app.route('/executions', executionRoutes(service.executions));

  if (trusted) {
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
function withQuery(body: unknown, {path, validate, ifNotExists}: Record<string, string>): unknown {
  if (typeof body !== 'object' || body === null) return body;
  return {
    ...body,
    ...(path === undefined ? {} : {path}),
    ...(validate === undefined ? {} : {validate: validate === 'true'}),
    ...(ifNotExists === undefined ? {} : {ifNotExists: ifNotExists === 'true'}),
  };
}
