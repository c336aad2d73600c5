import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import * as z from 'zod';
import type {Deliveries} from '../reconciler/deliveries.ts';
import {
  deliveryListSchema,
  deliverySchema,
  type ForgeStatus,
  forgeStatusSchema,
} from '../schemas/delivery.ts';
import {errors, json, refuseInvalid} from './controller-openapi.ts';

/** What became of webhooks, and what was asked of the forge. */
export function deliveryRoutes(deliveries: Deliveries, forge: () => ForgeStatus | null): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/deliveries',
      request: {query: z.object({limit: z.coerce.number().int().min(1).max(5000).default(50)})},
      responses: {200: json(deliveryListSchema, 'The last webhooks, newest first.'), ...errors(400, 401)},
    }),
    (c) => c.json({items: deliveries.newest(c.req.valid('query').limit)}, 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/deliveries/{id}',
      request: {params: z.object({id: z.string().max(200)})},
      responses: {200: json(deliverySchema, 'What came and what became of it.'), ...errors(401, 404)},
    }),
    (c) => c.json(deliveries.get(c.req.valid('param').id), 200),
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/forge',
      responses: {
        200: json(
          z.object({github: forgeStatusSchema.nullable()}),
          'What GitHub was asked and still allows, and what it is still to be told.',
        ),
        ...errors(401),
      },
    }),
    (c) => c.json({github: forge()}, 200),
  );
  return app;
}
