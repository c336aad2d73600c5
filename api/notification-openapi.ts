import * as z from 'zod';
import {
  connectedSchema,
  dismissedSchema,
  dismissRequestSchema,
  heartbeatSchema,
  inboxSchema,
  notificationLimits,
  notificationListSchema,
  notificationSchema,
  notifiedSchema,
  notifyRequestSchema,
  pushBodySchema,
  urgencySchema,
} from '../schemas/notification.ts';
import {
  healthOf,
  type Json,
  openApiDocument,
  ownRoutes,
  printOpenApi,
  type Route,
} from './openapi-document.ts';

const healthSchema = healthOf({id: 'Health', service: z.literal('notifications'), agent: 'userAgent'});

const push = {
  message: {
    schema: z.string().max(notificationLimits.bodyLength),
    description: 'What it says; the first line is the summary where there is no title.',
  },
  title: {schema: z.string().max(notificationLimits.summaryLength), description: 'The summary.'},
  urgency: {schema: urgencySchema, description: '`normal` unless given.'},
};
const list = {
  after_id: {schema: z.int().min(0), description: 'Only what came after this notification.'},
  since: {schema: z.string(), description: 'RFC 3339, or milliseconds since 1970; this instant and later.'},
  limit: {
    schema: z.int().min(1).max(1000).default(100),
    description: 'The first ones after `after_id`, otherwise the newest.',
  },
};
const resume = {
  'Last-Event-ID': {
    schema: z.int().min(0),
    description: 'Begin after this notification, not with what comes next.',
  },
};
const stored = ['RATE_LIMITED', 'TOO_MANY_INBOXES', 'STORAGE_FULL', 'STATE_UNREADABLE'] as const;
const body = ['INVALID_JSON', 'INVALID_BODY', 'PAYLOAD_TOO_LARGE'] as const;
const listErrors = ['INVALID_NAME', 'INVALID_QUERY', 'INVALID_PAGINATION', 'STATE_UNREADABLE'] as const;
const streamErrors = ['INVALID_NAME', 'INVALID_QUERY', 'RATE_LIMITED', 'STATE_UNREADABLE'] as const;

/** Every route of the notifications kit, without prefix; a test compares it with what is served. */
export const notificationRouteTable: readonly Route[] = [
  {
    method: 'get',
    path: '/push/{name}',
    summary: 'Put a notification into the inbox of a name',
    query: push,
    answer: {schema: notificationSchema},
    errors: ['INVALID_NAME', 'INVALID_QUERY', ...stored],
  },
  {
    method: 'post',
    path: '/push/{name}',
    summary: 'The same, with a text or JSON; the query wins over it',
    query: push,
    body: {schema: pushBodySchema, text: true, optional: true},
    answer: {status: 201, schema: notificationSchema},
    errors: ['INVALID_NAME', 'INVALID_QUERY', ...body, 'UNSUPPORTED_MEDIA_TYPE', ...stored],
  },
  {
    method: 'get',
    path: '/inbox/{name}',
    summary: 'What is in an inbox',
    query: list,
    answer: {schema: inboxSchema},
    errors: listErrors,
  },
  {
    method: 'get',
    path: '/inbox/{name}/stream',
    summary: 'What comes into an inbox: events `connected`, `notification` and `heartbeat`',
    headers: resume,
    answer: {types: ['text/event-stream']},
    errors: streamErrors,
  },
  {
    method: 'post',
    path: '/notify',
    summary: 'Put a notification into the inbox of a display',
    body: {schema: notifyRequestSchema},
    answer: {schema: notifiedSchema},
    errors: [...body, ...stored],
  },
  {
    method: 'get',
    path: '/stream',
    summary: 'What comes into the inboxes of some displays or of all',
    query: {displays: {schema: z.string().default('all'), description: '`a`, `a,b` or `all`.'}},
    headers: resume,
    answer: {types: ['text/event-stream']},
    errors: streamErrors,
  },
  {
    method: 'post',
    path: '/dismiss',
    summary: 'Remove some notifications',
    body: {schema: dismissRequestSchema},
    answer: {schema: dismissedSchema},
    errors: [...body, 'STATE_UNREADABLE'],
  },
  {
    method: 'delete',
    path: '/dismiss',
    summary: 'Remove all notifications of some displays, or with a body these ones',
    query: {display: {schema: z.string().default('all'), description: '`a`, `a,b` or `all`.'}},
    body: {schema: dismissRequestSchema, optional: true},
    answer: {schema: dismissedSchema},
    errors: ['INVALID_NAME', ...body, 'STATE_UNREADABLE'],
  },
  ...ownRoutes(healthSchema),
  {
    method: 'get',
    path: '/{displays}',
    summary: 'What is in the inboxes of `a`, `a,b` or `all`',
    query: list,
    answer: {schema: notificationListSchema},
    errors: [...listErrors, 'NOT_FOUND'],
  },
];

/** The OpenAPI 3.1 document of the notifications kit. */
export function notificationOpenApi(): Json {
  return openApiDocument({
    title: 'Notifications',
    description:
      'Inboxes of one container. Each path also answers below `/api/v1/notifications`. A display is an inbox by another name; `me` is the default user. `push` and `inbox` are additions to the public API.',
    prefix: '/api/v1/notifications',
    routes: notificationRouteTable,
    furtherSchemas: [connectedSchema, heartbeatSchema],
  });
}

/** The same as YAML. */
export function printNotificationOpenApi(): string {
  return printOpenApi(notificationOpenApi());
}
