import {createHash} from 'node:crypto';
import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import * as z from 'zod';
import type {ContainerService} from '../reconciler/container-service.ts';
import {
  type ContainerItem,
  containerEnvelopeSchema,
  containerItemSchema,
  containerListSchema,
  containerOperationSchema,
  createContainerSchema,
  createSnapshotSchema,
  deletedSchema,
  type PublicContainer,
  snapshotListSchema,
  snapshotSchema,
} from '../schemas/container-api.ts';
import {errors, json, refuseInvalid} from './controller-openapi.ts';
import {jsonRequest} from './json-request.ts';
import {publicServerName} from './kit-address.ts';

const maxBodyBytes = 16 * 1024;
const found = {statusCode: 200 as const, message: 'OK'};
const anyContainer = z.string().max(1024).meta({
  description: 'Id with or without `ctr_`, name or key of a branch, or name of a container.',
  example: 'ctr_5f0c2b9e1a7d4c3b8e6f0a12',
});

/** Containers and snapshots of the controller; the token is checked before. */
export function containerRoutes(containers: ContainerService): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/containers',
      responses: {
        200: json(containerListSchema, 'Every container, those of branches first.'),
        ...errors(401),
      },
    }),
    (c) => {
      const items = containers.list();
      return c.json({...found, data: {containers: items.map(publicContainer)}, items}, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/containers',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {body: {...json(createContainerSchema, 'All of it may be left out.'), required: true}},
      responses: {
        201: json(containerItemSchema, 'A standalone container; its kits answer and its schedule runs.'),
        ...errors(400, 401, 404, 409, 413, 415, 503),
      },
    }),
    async (c) => {
      const {signal} = c.req.raw;
      return c.json(await containers.create(c.req.valid('json'), {signal}), 201);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/containers/{container}',
      request: {params: z.object({container: anyContainer})},
      responses: {200: json(containerEnvelopeSchema, 'The container.'), ...errors(401, 404, 409)},
    }),
    (c) => c.json({...found, data: publicContainer(containers.get(c.req.valid('param').container))}, 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/containers/{container}/{operation}',
      request: {params: z.object({container: anyContainer, operation: containerOperationSchema})},
      responses: {
        200: json(containerItemSchema, 'A standalone container, which is stopped, or runs again.'),
        ...errors(400, 401, 404, 409, 503),
      },
    }),
    async (c) => {
      const {container, operation} = c.req.valid('param');
      return c.json(await containers.operate(container, operation), 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/v1/containers/{container}',
      request: {
        params: z.object({
          container: z.string().max(1024).meta({
            description: 'Id with or without `ctr_`, or name, of a standalone container.',
            example: 'ctr_5f0c2b9e1a7d4c3b8e6f0a12',
          }),
        }),
      },
      responses: {
        200: json(deletedSchema, 'Its jobs have ended and nothing of it is left.'),
        ...errors(401, 404, 409),
      },
    }),
    async (c) => {
      await containers.remove(c.req.valid('param').container);
      return c.json({deleted: true} as const, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/snapshots',
      responses: {200: json(snapshotListSchema, 'Every snapshot, by name.'), ...errors(401)},
    }),
    async (c) => c.json({items: await containers.snapshots()}, 200),
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/snapshots',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {body: {...json(createSnapshotSchema, 'What to copy, and under which name.'), required: true}},
      responses: {
        201: json(snapshotSchema, 'The snapshot is complete.'),
        ...errors(400, 401, 404, 409, 413, 415, 507),
      },
    }),
    async (c) => c.json(await containers.snapshot(c.req.valid('json')), 201),
  );
  app.openapi(
    createRoute({
      method: 'delete',
      path: '/api/v1/snapshots/{name}',
      request: {params: z.object({name: z.string().max(1024).meta({example: 'main-snapshot'})})},
      responses: {200: json(deletedSchema, 'The snapshot is gone.'), ...errors(401, 404)},
    }),
    async (c) => {
      await containers.removeSnapshot(c.req.valid('param').name);
      return c.json({deleted: true} as const, 200);
    },
  );
  return app;
}

/** There is one server, and a repository is what comes nearest to a project. */
function publicContainer(container: ContainerItem): PublicContainer {
  const {id, repository, name, state} = container;
  const project = createHash('sha256')
    .update(repository ?? '')
    .digest('hex')
    .slice(0, 24);
  return {
    id: id.slice('ctr_'.length),
    project_id: project,
    server_name: publicServerName,
    name,
    status: state === 'held' || state === 'paused' ? 'running' : state,
    container,
  };
}
