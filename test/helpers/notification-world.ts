import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {Hono} from 'hono';
import {errorHandler, errorResponse} from '../../api/errors.ts';
import {notificationRoutes} from '../../api/notification-routes.ts';
import {
  type NotificationOptions,
  type NotificationService,
  openNotifications,
} from '../../runtime/notifications/service.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {type Inbox, inboxSchema, type Notification} from '../../schemas/notification.ts';
import {FakeClock} from './fake-clock.ts';

export interface NotificationWorld {
  readonly service: NotificationService;
  readonly clock: FakeClock;
  request(path: string, init?: RequestInit): Promise<Response>;
  push(path: string, init?: RequestInit): Promise<Notification>;
  inbox(name: string, query?: string): Promise<Inbox>;
  postJson(path: string, value: unknown, method?: string): Promise<Response>;
  /** Ends this service and opens another one on the same directory. */
  reopen(): Promise<NotificationWorld>;
}

/** The routes of the notifications kit on a real database and a clock that stands still. */
export async function createNotificationWorld(
  t: ExecutionContext,
  options: Partial<NotificationOptions> = {},
): Promise<NotificationWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'notifications-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  return openWorld(t, directory, new FakeClock('2026-05-18T09:00:00Z'), options);
}

async function openWorld(
  t: ExecutionContext,
  directory: string,
  clock: FakeClock,
  options: Partial<NotificationOptions>,
): Promise<NotificationWorld> {
  const service = await openNotifications({directory, clock, origin: () => 'main', ...options});
  let isOpen = true;
  const close = () => {
    if (isOpen) service.close();
    isOpen = false;
  };
  t.teardown(close);
  const app = new Hono().route('/', notificationRoutes(service));
  app.onError(errorHandler(silentLog));
  app.notFound(() => errorResponse(new AppError('NOT_FOUND', 'No route.'), silentLog));
  const request = async (path: string, init?: RequestInit) => app.request(path, init);
  return {
    service,
    clock,
    request,
    async push(path, init) {
      const response = await request(`/push/${path}`, init);
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      return response.json() as Promise<Notification>;
    },
    inbox: async (name, query = '') =>
      inboxSchema.strict().parse(await (await request(`/inbox/${name}${query}`)).json()),
    postJson: (path, value, method = 'POST') =>
      request(path, {
        method,
        body: JSON.stringify(value),
        headers: {'content-type': 'application/json'},
      }),
    async reopen() {
      close();
      return openWorld(t, directory, clock, options);
    },
  };
}

export interface StreamReader {
  /** The next event as it came over the wire. */
  next(): Promise<string>;
  leave(): Promise<void>;
}

/** Reads a stream of server-sent events one event at a time. */
export function readStream(response: Response): StreamReader {
  if (response.body === null) throw new Error('There is no body.');
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  return {
    async next() {
      for (let end = text.indexOf('\n\n'); ; end = text.indexOf('\n\n')) {
        if (end !== -1) {
          const event = text.slice(0, end);
          text = text.slice(end + 2);
          return event;
        }
        const {value, done} = await reader.read();
        if (done) throw new Error(`The stream ended after ${JSON.stringify(text)}.`);
        text += decoder.decode(value, {stream: true});
      }
    },
    leave: () => reader.cancel(),
  };
}

/** The notification that an event of a stream carries. */
export function notificationOf(event: string): Notification {
  const data = /^data: ([^\n]*)$/m.exec(event)?.[1];
  if (!event.includes('event: notification\n') || data === undefined)
    throw new Error(`No notification: ${event}`);
  return JSON.parse(data) as Notification;
}
