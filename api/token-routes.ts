import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import * as z from 'zod';
import type {UserTokens} from '../reconciler/user-tokens.ts';
import {deletedSchema} from '../schemas/container-api.ts';
import {createdTokenSchema, createTokenSchema, tokenListSchema} from '../schemas/token.ts';
import {errors, json, refuseInvalid} from './controller-openapi.ts';
import {jsonRequest} from './json-request.ts';

const maxBodyBytes = 4 * 1024;

/** Tokens of users; whoever comes here has the token of the controller. */
export function tokenRoutes(tokens: UserTokens): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/tokens',
      responses: {200: json(tokenListSchema, 'Without the tokens themselves.'), ...errors(401, 403)},
    }),
    (c) => c.json({items: tokens.list()}, 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/tokens',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {body: {...json(createTokenSchema, 'Whose it is.'), required: true}},
      responses: {
        201: json(createdTokenSchema, 'The token; it is not shown again.'),
        ...errors(400, 401, 403, 404),
      },
    }),
    async (c) => c.json(await tokens.create(c.req.valid('json').user), 201),
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/v1/tokens/{id}',
      request: {params: z.object({id: z.string().max(60)})},
      responses: {200: json(deletedSchema, 'It opens nothing any more.'), ...errors(401, 403, 404)},
    }),
    async (c) => {
      await tokens.revoke(c.req.valid('param').id);
      return c.json({deleted: true as const}, 200);
    },
  );
  return app;
}
