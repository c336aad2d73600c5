import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import type {Suspensions} from '../reconciler/suspension.ts';
import {branchSchema} from '../schemas/branch.ts';
import {suspendRequestSchema} from '../schemas/suspension.ts';
import {errors, json, keyParameter, refuseInvalid} from './controller-openapi.ts';
import {jsonRequest} from './json-request.ts';

const maxBodyBytes = 4 * 1024;

/** Branches of which no job runs for a while; the token is checked before. */
export function suspensionRoutes(suspensions: Suspensions): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/v1/branches/{key}/suspension',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {
        params: keyParameter,
        body: {...json(suspendRequestSchema, 'For how long, who, why.'), required: true},
      },
      responses: {
        200: json(branchSchema, 'The branch; no job of it runs until then, whatever is pushed.'),
        ...errors(400, 401, 404, 409),
      },
    }),
    async (c) => c.json(await suspensions.suspend(c.req.valid('param').key, c.req.valid('json')), 200),
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/v1/branches/{key}/suspension',
      request: {params: keyParameter},
      responses: {
        200: json(branchSchema, 'The branch; its jobs run again.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => c.json(await suspensions.resume(c.req.valid('param').key), 200),
  );
  return app;
}
