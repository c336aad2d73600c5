import {type Context, Hono} from 'hono';
import type * as z from 'zod';
import type {ExecService} from '../runtime/exec/service.ts';
import {AppError} from '../schemas/errors.ts';
import {scriptPathSchema} from '../schemas/exec-api.ts';
import {
  bulkUpdateCommentsSchema,
  discoverRoutesSchema,
  resolveRouteSchema,
  testRoutesSchema,
  updateCommentsSchema,
  validateRequestSchema,
} from '../schemas/exec-management.ts';
import {execOperationRoutes} from './exec-operation-routes.ts';
import {execPackageRoutes} from './exec-package-routes.ts';
import {execScriptRoutes} from './exec-script-routes.ts';
import {executionRoutes} from './execution-routes.ts';
import {readJsonBody} from './json-body.ts';

const maxBodyBytes = 16 * 1024 * 1024;

/** What is asked of scripts beside running and writing them, with paths below `/api/v1/exec`. Loaded at the first such request. */
export function execManagementRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.use('*', async (c, next) => {
    checkScope(c.req.query());
    await next();
  });
  return app
    .route('/', execScriptRoutes(exec))
    .route('/', validateRoutes(exec))
    .route('/', commentRoutes(exec))
    .route('/', routeRoutes(exec))
    .route('/', execOperationRoutes(exec))
    .route('/', execPackageRoutes(exec))
    .route('/executions', executionRoutes(exec))
    .route('/', documentRoutes())
    .route('/', absentRoutes());
}

/** A container has one set of scripts; the id of the public API is taken as long as it could be one. */
function checkScope({execId, exec_id: otherId}: Record<string, string>): void {
  if (/^[a-z0-9]{1,64}$/.test(execId ?? otherId ?? '1')) return;
  throw new AppError(
    'INVALID_QUERY',
    'execId holds 1 to 64 lower-case letters and digits, no hyphen: it stands in a host name.',
  );
}

function validateRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.post('/validate/script', async (c) => {
    const {validate} = await exec.management();
    return c.json(await validate.script(await body(c, validateRequestSchema)));
  });
  app.post('/validate/syntax', async (c) => {
    const {validate} = await exec.management();
    return c.json(await validate.syntax(await body(c, validateRequestSchema)));
  });
  app.post('/validate/typescript', async (c) => {
    const {validate} = await exec.management();
    return c.json(await validate.typescript(await body(c, validateRequestSchema)));
  });
  app.post('/validate/dependencies', async (c) => {
    const {validate} = await exec.management();
    return c.json(await validate.dependencies(await body(c, validateRequestSchema)));
  });
  app.post('/validate/magic-comments', async (c) => {
    const {validate} = await exec.management();
    return c.json(validate.magicComments(await body(c, validateRequestSchema)));
  });
  app.post('/validate/return-type', async (c) => {
    const {validate} = await exec.management();
    return c.json(await validate.returnType(await body(c, validateRequestSchema)));
  });
  return app;
}

function commentRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.get('/magic-comments/schema', async (c) => {
    const {comments} = await exec.management();
    return c.json({comments: comments.catalogue()});
  });
  app.get('/magic-comments/read', async (c) => {
    const {comments} = await exec.management();
    return c.json(await comments.read(scriptPathOf(c)));
  });
  app.put('/magic-comments/update', async (c) => {
    const {comments} = await exec.management();
    return c.json(await comments.update(await body(c, updateCommentsSchema)));
  });
  app.post('/magic-comments/bulk-update', async (c) => {
    const {comments} = await exec.management();
    const results = await comments.updateMany(await body(c, bulkUpdateCommentsSchema));
    return c.json({updated: results.filter(({updated}) => updated).length, results});
  });
  return app;
}

function routeRoutes(exec: ExecService): Hono {
  const app = new Hono();
  app.post('/route/resolve', async (c) => {
    const {routes} = await exec.management();
    return c.json(routes.resolve(await body(c, resolveRouteSchema)));
  });
  app.post('/route/discover', async (c) => {
    const {routes} = await exec.management();
    return c.json(await routes.discover(await body(c, discoverRoutesSchema)));
  });
  app.post('/route/test', async (c) => {
    const {routes} = await exec.management();
    const {paths} = await body(c, testRoutesSchema);
    return c.json(routes.test(paths));
  });
  return app;
}

function documentRoutes(): Hono {
  const app = new Hono();
  app.get('/openapi.json', async (c) => {
    const {execOpenApi} = await import('./exec-openapi.ts');
    return c.json(execOpenApi());
  });
  app.get('/openapi.yaml', async (c) => {
    const {printExecOpenApi} = await import('./exec-openapi.ts');
    return c.body(printExecOpenApi(), 200, {'Content-Type': 'application/yaml; charset=utf-8'});
  });
  return app;
}

/** Parts of the public API that are not offered, each with what serves instead. */
const absentParts: Readonly<Record<string, string>> = {
  ai: 'Scripts have no AI helpers here; call a provider with fetch.',
  sdk: 'SDKs are not imported here; add the package to the branch.',
  'sdk-types': 'There are no SDK types here; add the package to the branch.',
  'remote-messages': 'Scripts take no remote messages here; call them over HTTP.',
  remote: 'Scripts take no remote calls here; call them over HTTP.',
  templates: 'There are no templates here; keep them in the repository.',
  'user-openapi': 'No documents are made of scripts here; /api/v1/exec/openapi.json describes the kit.',
};

function absentRoutes(): Hono {
  const app = new Hono();
  for (const [part, message] of Object.entries(absentParts)) {
    const refuse = () => {
      throw new AppError('NOT_IMPLEMENTED', message);
    };
    app.all(`/${part}`, refuse).all(`/${part}/*`, refuse);
  }
  return app;
}

async function body<T extends z.ZodType>(c: Context, schema: T): Promise<z.infer<T>> {
  return schema.parse(await readJsonBody(c.req.raw, maxBodyBytes));
}

function scriptPathOf(c: Context): string {
  const parsed = scriptPathSchema.safeParse(c.req.query('path'));
  if (parsed.success) return parsed.data;
  throw new AppError(
    'INVALID_QUERY',
    'The query parameter `path` names no script, for example path=api/hello.ts.',
  );
}
