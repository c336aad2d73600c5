import type {ExecutionContext} from 'ava';
import type * as z from 'zod';
import {cronRoutes} from '../../api/cron-routes.ts';
import {errorHandler} from '../../api/errors.ts';
import type {CronOptions} from '../../runtime/cron/service.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {type CronWorld, createCronWorld, type WorldOptions} from './cron-world.ts';

export interface CronHttp extends CronWorld {
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  send(
    method: string,
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
    type?: string,
    headers?: Record<string, string>,
  ): Promise<Response>;
  sendJson(method: string, path: string, value: unknown): Promise<Response>;
  putText(path: string, text: string, headers?: Record<string, string>): Promise<Response>;
}

/** The routes of the cron kit on a service with a clock that stands still. */
export async function createCronHttp(
  t: ExecutionContext,
  {lists = 'envelope', ...options}: {lists?: 'envelope' | 'array'} & Partial<CronOptions> & WorldOptions = {},
): Promise<CronHttp> {
  const world = await createCronWorld(t, options);
  const app = cronRoutes(world.cron, {lists});
  app.onError(errorHandler(silentLog));
  const send: CronHttp['send'] = async (method, path, body, type = 'application/json', headers = {}) =>
    app.request(path, {
      method,
      ...(body === undefined ? {} : {body}),
      headers: {...headers, ...(body === undefined ? {} : {'content-type': type})},
    });
  return {
    ...world,
    send,
    sendJson: (method, path, value) => send(method, path, JSON.stringify(value)),
    putText: (path, text, headers) => send('PUT', path, text, 'text/plain', headers),
    get: async (path, headers = {}) => app.request(path, {headers}),
  };
}

/** The body in the shape that the wire promises. */
export async function bodyOf<T>(response: Response | Promise<Response>, schema: z.ZodType<T>): Promise<T> {
  return schema.parse(await (await response).json());
}
