import {type Context, Hono} from 'hono';
import type {Displays} from '../runtime/notifications/notification-store.ts';
import type {NotificationService} from '../runtime/notifications/service.ts';
import {AppError} from '../schemas/errors.ts';
import {
  type Dismissed,
  dismissRequestSchema,
  type Inbox,
  type NotificationList,
  type Notified,
  notifyRequestSchema,
} from '../schemas/notification.ts';
import {eventStream} from './event-stream.ts';
import {printFollowEvent} from './follow-event.ts';
import {parseJsonBytes, readBytes, readJsonBody} from './json-body.ts';
import {readDisplays, readId, readInbox, readListQuery} from './notification-query.ts';
import {readPush} from './push-message.ts';

const maxNotifyBodyBytes = 16 * 1024;
const maxDismissBodyBytes = 32 * 1024;

/** First words of our own paths: as a display they can be read below `/inbox/` only. */
const ownWords = ['push', 'inbox', 'notify', 'dismiss', 'icons', 'metrics', 'health', 'healthz'];

/**
 * The routes of the notifications kit, without prefix: a person's inbox by `push` and `inbox`, and the public API, in
 * which an inbox is called a display.
 */
export function notificationRoutes(service: NotificationService): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    await next();
    // Messages are other people's words.
    c.res.headers.set('X-Content-Type-Options', 'nosniff');
    c.res.headers.set('Cache-Control', 'no-store');
  });

  app.get('/push/:name', async (c) => {
    if (c.req.method === 'HEAD') throw new AppError('METHOD_NOT_ALLOWED', 'Push with GET or POST.');
    return c.json(await push(c));
  });

  app.post('/push/:name', async (c) => c.json(await push(c), 201));

  app.get('/inbox/:name', (c) => {
    const inbox = readInbox(c.req.param('name'));
    const notifications = service.list({displays: [inbox], ...readListQuery(c.req.query())});
    return c.json({inbox, count: notifications.length, notifications} satisfies Inbox);
  });

  app.get('/inbox/:name/stream', (c) => stream(c, [readInbox(c.req.param('name'))]));

  app.post('/notify', async (c) => {
    const request = notifyRequestSchema.parse(await readJsonBody(c.req.raw, maxNotifyBodyBytes));
    service.notify({...request, display: readInbox(request.display)});
    return c.json({success: true, message: 'Notification sent successfully'} satisfies Notified);
  });

  app.get('/stream', (c) => stream(c, readDisplays(c.req.query('displays') ?? 'all')));

  app.post('/dismiss', async (c) => c.json(dismiss(await readBytes(c.req.raw, maxDismissBodyBytes))));

  app.delete('/dismiss', async (c) => {
    const bytes = await readBytes(c.req.raw, maxDismissBodyBytes);
    if (bytes.length > 0) return c.json(dismiss(bytes));
    return c.json(dismissed(service.dismiss(readDisplays(c.req.query('display') ?? 'all'), null)));
  });

  app.get('/openapi.json', async (c) => {
    const {notificationOpenApi} = await import('./notification-openapi.ts');
    return c.json(notificationOpenApi());
  });

  app.get('/openapi.yaml', async (c) => {
    const {printNotificationOpenApi} = await import('./notification-openapi.ts');
    return c.body(printNotificationOpenApi(), 200, {'Content-Type': 'application/yaml; charset=utf-8'});
  });

  app.get('/:displays', (c) => {
    const text = c.req.param('displays');
    if (ownWords.includes(text))
      throw new AppError(
        'NOT_FOUND',
        `No route GET /${text}. An inbox of this name is read at /inbox/${text}.`,
      );
    const displays = readDisplays(text);
    const notifications = service.list({displays, ...readListQuery(c.req.query())});
    const names = displays === 'all' ? service.displays() : displays;
    const data = {count: notifications.length, displays: [...names], notifications};
    return c.json({success: true, data} satisfies NotificationList);
  });

  async function push(c: Context) {
    const display = readInbox(c.req.param('name') ?? '');
    return service.notify(await readPush(c, display, service.origin()));
  }

  function stream(c: Context, displays: Displays): Response {
    const lastEventId = c.req.header('last-event-id');
    const afterId = lastEventId === undefined ? null : readId(lastEventId, 'Last-Event-ID');
    const left = new AbortController();
    const events = service.follow(displays, {afterId, signal: left.signal});
    return eventStream(events, {left, print: printFollowEvent});
  }

  function dismiss(body: Uint8Array) {
    const {notificationIds, displayId} = dismissRequestSchema.parse(parseJsonBytes(body));
    const displays = displayId === undefined ? 'all' : [readInbox(displayId)];
    return dismissed(service.dismiss(displays, notificationIds));
  }

  return app;
}

function dismissed(count: number): Dismissed {
  return {success: true, message: `${count} dismissed`, data: {dismissed: count}};
}
