import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import type {HandChanges} from '../reconciler/hand-changes.ts';
import {branchSchema} from '../schemas/branch.ts';
import {keepRequestSchema, promotionPullSchema, promotionSchema} from '../schemas/hand-change.ts';
import {errors, json, keyParameter, refuseInvalid} from './controller-openapi.ts';
import {jsonRequest} from './json-request.ts';

const maxBodyBytes = 4 * 1024;

/** Changes that people make behind git's back; the token is checked before. */
export function handChangeRoutes(changes: HandChanges): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/v1/branches/{key}/keep',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {params: keyParameter, body: {...json(keepRequestSchema, 'For how long.'), required: true}},
      responses: {
        200: json(branchSchema, 'The branch; what is changed by hand stays until then.'),
        ...errors(400, 401, 404, 409),
      },
    }),
    async (c) => c.json(await changes.keep(c.req.valid('param').key, c.req.valid('json')), 200),
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/v1/branches/{key}/keep',
      request: {params: keyParameter},
      responses: {
        200: json(branchSchema, 'The branch; what was changed by hand is put back.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => c.json(await changes.endKeep(c.req.valid('param').key), 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches/{key}/promotion',
      request: {params: keyParameter},
      responses: {
        200: json(promotionSchema, 'What would have to be in git for git to say what runs.'),
        ...errors(401, 404, 409, 503),
      },
    }),
    async (c) => c.json(await changes.promotion(c.req.valid('param').key), 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/promotion',
      request: {params: keyParameter},
      responses: {
        200: json(promotionPullSchema, 'The open pull request; the same one where it was asked for before.'),
        ...errors(401, 404, 409, 502, 503),
      },
    }),
    async (c) => c.json(await changes.promote(c.req.valid('param').key), 200),
  );
  return app;
}
