import {type Context, Hono} from 'hono';
import type * as z from 'zod';
import type {ExecService} from '../runtime/exec/service.ts';
import {
  checkDependenciesSchema,
  initPackageSchema,
  installModulesSchema,
  pinPackagesSchema,
  updatePackageSchema,
} from '../schemas/exec-packages.ts';
import {readJsonBody} from './json-body.ts';

const maxBodyBytes = 16 * 1024 * 1024;

/** The routes about npm packages of scripts, with paths below `/api/v1/exec`. */
export function execPackageRoutes(exec: ExecService): Hono {
  const app = new Hono();

  app.get('/dependencies/bundled', async (c) => {
    const modules = (await exec.management()).packages.bundled();
    return c.json({count: modules.length, modules});
  });

  app.post('/dependencies/check', async (c) => {
    const {packages, validate} = await exec.management();
    const {code, modules} = await body(c, checkDependenciesSchema);
    if (code === undefined) return c.json(await packages.check(modules ?? []));
    const {dependencies, missing} = await validate.dependencies({code});
    const checked = dependencies.map(({module, source, available}) => ({module, source, available}));
    return c.json({modules: checked, missing});
  });

  app.post('/dependencies/install', async (c) => {
    const {packages} = await exec.management();
    const {modules, force} = await body(c, installModulesSchema);
    return c.json(await packages.add(modules, {force}));
  });

  app.get('/package/read', async (c) => c.json(await (await exec.management()).packages.read()));

  app.get('/package/compare', async (c) => c.json(await (await exec.management()).packages.compare()));

  app.post('/package/compare', async (c) => c.json(await (await exec.management()).packages.compare()));

  app.post('/package/init', async (c) => {
    const {packages} = await exec.management();
    return c.json(await packages.init(await body(c, initPackageSchema)));
  });

  app.post('/package/update', async (c) => {
    const {packages} = await exec.management();
    return c.json(await packages.update(await body(c, updatePackageSchema)));
  });

  app.post('/package/install', async (c) => c.json(await (await exec.management()).packages.lock()));

  app.post('/package/pin', async (c) => {
    const {packages} = await exec.management();
    const {modules = null} = await body(c, pinPackagesSchema);
    return c.json(await packages.pin(modules));
  });

  return app;
}

async function body<T extends z.ZodType>(c: Context, schema: T): Promise<z.infer<T>> {
  const {raw} = c.req;
  const isEmpty = raw.body === null || raw.headers.get('content-length') === '0';
  return schema.parse(isEmpty ? {} : await readJsonBody(raw, maxBodyBytes));
}
