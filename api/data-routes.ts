import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import type {Controller} from '../reconciler/controller.ts';
import {backupListSchema, backupSchema, restoreDataSchema} from '../schemas/backup.ts';
import {branchSchema} from '../schemas/branch.ts';
import {errors, json, keyParameter, refuseInvalid} from './controller-openapi.ts';
import {jsonRequest} from './json-request.ts';

const maxBodyBytes = 4 * 1024;

/** Copies of the data directories of branches; the token is checked before. */
export function dataRoutes(
  controller: Pick<Controller, 'backups' | 'backupData' | 'restoreData'>,
): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches/{key}/backups',
      request: {params: keyParameter},
      responses: {
        200: json(backupListSchema, 'Backups that are whole, newest first.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => c.json(await controller.backups(c.req.valid('param').key), 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/backups',
      request: {params: keyParameter},
      responses: {
        201: json(backupSchema, 'The backup, whole and on disk.'),
        ...errors(401, 404, 409, 500, 503),
      },
    }),
    async (c) => c.json(await controller.backupData(c.req.valid('param').key), 201),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/data/restore',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {
        params: keyParameter,
        body: {...json(restoreDataSchema, 'All of it may be left out.'), required: true},
      },
      responses: {
        200: json(branchSchema, 'The branch, its data directory replaced and its schedule as it was.'),
        ...errors(400, 401, 404, 409, 500),
      },
    }),
    async (c) => c.json(await controller.restoreData(c.req.valid('param').key, c.req.valid('json')), 200),
  );
  return app;
}
