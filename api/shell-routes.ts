import {createRoute, OpenAPIHono} from '@hono/zod-openapi';
import {stream} from 'hono/streaming';
import * as z from 'zod';
import type {BranchShells} from '../reconciler/shells.ts';
import {maxShellInputBytes, shellRequestSchema, shellSizeSchema} from '../schemas/shell.ts';
import {errors, json, keyParameter, refuseInvalid} from './controller-openapi.ts';
import {readBytes} from './json-body.ts';
import {jsonRequest} from './json-request.ts';

const maxBodyBytes = 1024 * 1024;
const shellParameter = keyParameter.extend({
  id: z.string().max(64).meta({description: 'From the first line of the answer that opened it.'}),
});

/** Programs that people run in the containers of branches; the token is checked before. */
export function shellRoutes(shells: BranchShells): OpenAPIHono {
  const app = new OpenAPIHono({defaultHook: refuseInvalid});
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/shells',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {params: keyParameter, body: {...json(shellRequestSchema, 'What to run.'), required: true}},
      responses: {
        200: {
          description:
            'One JSON object a line: `started` with the id, `output` in base64, at last `exited` or `failed`. Empty lines keep the connection. Leaving it ends the program.',
          content: {'application/octet-stream': {schema: z.string()}},
        },
        ...errors(400, 401, 404, 409, 503),
      },
    }),
    async (c) => {
      const {key} = c.req.valid('param');
      const lines = await shells.openShell(key, c.req.valid('json'), {signal: c.req.raw.signal});
      c.header('content-type', 'application/octet-stream');
      c.header('cache-control', 'no-store');
      return stream(c, (answer) => answer.pipe(lines));
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/branches/{key}/shells/{id}/input',
      request: {
        params: shellParameter,
        query: z.object({end: z.enum(['true', 'false']).default('false')}),
        body: {content: {'application/octet-stream': {schema: z.string()}}},
      },
      responses: {
        204: {description: 'The program has it, or will; send the next piece now.'},
        ...errors(400, 401, 404, 413, 503),
      },
    }),
    async (c) => {
      const {key, id} = c.req.valid('param');
      const bytes = await readBytes(c.req.raw, maxShellInputBytes);
      const end = c.req.valid('query').end === 'true';
      await shells.shellInput(key, id, {bytes, end, signal: c.req.raw.signal});
      return c.body(null, 204);
    },
  );
  app.openapi(
    createRoute({
      method: 'put',
      path: '/api/v1/branches/{key}/shells/{id}/size',
      middleware: jsonRequest({maxBytes: maxBodyBytes}),
      request: {
        params: shellParameter,
        body: {...json(shellSizeSchema, 'The size of the terminal.'), required: true},
      },
      responses: {204: {description: 'The program is told.'}, ...errors(400, 401, 404, 503)},
    }),
    async (c) => {
      const {key, id} = c.req.valid('param');
      await shells.resizeShell(key, id, c.req.valid('json'), {signal: c.req.raw.signal});
      return c.body(null, 204);
    },
  );
  return app;
}
