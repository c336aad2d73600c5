import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import * as z from 'zod';
import type {BranchAccounts} from '../reconciler/branch-accounts.ts';
import {explanationSchema, journalSchema} from '../schemas/journal.ts';
import {errors, json, keyParameter, refuseInvalid} from './controller-openapi.ts';

/** What happened to branches and why; the token is checked before. */
export function accountRoutes(accounts: BranchAccounts): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/branches/{key}/history',
      request: {
        params: keyParameter,
        query: z.object({limit: z.coerce.number().int().min(1).max(1000).default(50)}),
      },
      responses: {
        200: json(journalSchema, 'What happened to the branch, newest first; also where it is gone.'),
        ...errors(400, 401, 404, 409),
      },
    }),
    async (c) => c.json({items: await accounts.history(c.req.valid('param').key, c.req.valid('query'))}, 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/explanations/{subject}',
      request: {
        params: z.object({
          subject: z.string().max(1024).meta({description: 'Key or name of a branch, served or not.'}),
        }),
      },
      responses: {
        200: json(explanationSchema, 'The way from git to the container, and where it ended.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => c.json(await accounts.explain(c.req.valid('param').subject), 200),
  );
  return app;
}
