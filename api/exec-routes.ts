import {Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import {createDeploymentSchema, createRollbackSchema} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {readJsonBody} from './json-body.ts';

const maxRollbackBodyBytes = 64 * 1024;
const maxDeploymentBodyBytes = 256 * 1024 * 1024;

/**
 * Whole sets of scripts, with paths below `/api/v1/exec`; all other routes are loaded at their first use.
 * `trusted`: sets may be changed, which only the controller may do.
 */
export function execRoutes(service: ExecService, {trusted}: {trusted: boolean}): Hono {
  const app = new Hono();

  app.get('/deployments', (c) => c.json({deployments: service.versions()}));
  if (!trusted) return app;

  app.put('/deployments', async (c) => {
    const deployment = createDeploymentSchema().parse(await readJsonBody(c.req.raw, maxDeploymentBodyBytes));
    return c.json(await service.deploy(deployment));
  });

  app.get('/deployments/current', (c) => c.json({files: service.deployed()}));

  app.get('/deployments/current/file', async (c) => {
    const bytes = await service.readDeployed(c.req.query('path') ?? '');
    if (bytes === null) throw new AppError('SCRIPT_NOT_FOUND', 'The present set has no such file.');
    return new Response(new Uint8Array(bytes), {headers: {'content-type': 'application/octet-stream'}});
  });

  app.post('/deployments/rollback', async (c) => {
    const to = createRollbackSchema().parse(await readJsonBody(c.req.raw, maxRollbackBodyBytes));
    return c.json(await service.rollBack(to));
  });

  return app;
}
