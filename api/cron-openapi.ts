import * as z from 'zod';
import {
  createEntrySchema,
  crontabListSchema,
  crontabPreviewSchema,
  crontabSchema,
  entryItemSchema,
  entryListSchema,
  managedEntrySchema,
  nextRunsSchema,
  rawCrontabSchema,
  reportedCrontabSchema,
  schedulePreviewSchema,
  updateEntrySchema,
} from '../schemas/cron-api.ts';
import {
  outputEventSchema,
  pauseRequestSchema,
  pauseSchema,
  runOutputSchema,
  whySchema,
} from '../schemas/cron-run-api.ts';
import {crontabWarningSchema} from '../schemas/crontab/warning.ts';
import {runCallSchema, runListSchema, runSchema, runStatusSchema} from '../schemas/run.ts';
import {
  healthOf,
  type Json,
  openApiDocument,
  ownRoutes,
  printOpenApi,
  type Route,
} from './openapi-document.ts';

const instant = z.string().meta({format: 'date-time'});
const deletedSchema = z.object({deleted: z.literal(true)}).meta({id: 'Deleted'});
const healthSchema = healthOf({id: 'Health', service: z.literal('cron'), agent: 'user_agent'});
const pages = {
  page: {schema: z.int().min(1).default(1), description: 'Counted from 1.'},
  limit: {schema: z.int().min(1).max(200).default(50), description: 'Items per page.'},
};
const count = {schema: z.int().min(1).max(200).default(5), description: 'How many.'};
const user = ['INVALID_USER', 'USER_NOT_FOUND'] as const;
const entry = [...user, 'INVALID_ID', 'ENTRY_NOT_FOUND'] as const;
const body = ['INVALID_JSON', 'INVALID_BODY', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const;
const fields = [
  'INVALID_SCHEDULE',
  'INVALID_COMMAND',
  'INVALID_NAME',
  'INVALID_COMMENT',
  'INVALID_EXPIRES_AT',
  'INVALID_RUN_AT',
  'EXPIRES_IN_PAST',
] as const;
const runQuery = {
  entry: {schema: z.string(), description: 'Id or name of a job.'},
  since: {schema: instant, description: 'Scheduled at or after.'},
  until: {schema: instant, description: 'Scheduled before.'},
  status: {schema: runStatusSchema, description: 'Only runs of this status.'},
  limit: pages.limit,
  cursor: {schema: z.string(), description: '`next_cursor` of the page before.'},
};

/** Every route of the cron kit, without prefix; a test compares it with what is served. */
export const cronRouteTable: readonly Route[] = [
  {
    method: 'get',
    path: '/users/{user}/crontab',
    summary: 'The crontab of a user, byte for byte; with `Accept: text/plain` as text',
    headers: {'If-None-Match': {schema: z.string(), description: 'A tag; 304 where it still holds.'}},
    answer: {schema: crontabSchema, types: ['application/json', 'text/plain']},
    errors: user,
  },
  {
    method: 'put',
    path: '/users/{user}/crontab',
    summary: 'Replace the crontab of a user as a whole, or not at all',
    query: {
      managed: {schema: z.literal('keep'), description: 'The text is raw; managed entries stay.'},
      dry_run: {schema: z.enum(['0', '1']), description: '`1` answers the same and writes nothing.'},
    },
    headers: {
      'If-Match': {schema: z.string(), description: 'One of the two tags; 412 where it no longer holds.'},
      Prefer: {schema: z.string(), description: '`return=minimal` leaves the report out.'},
    },
    body: {schema: rawCrontabSchema, text: true},
    answer: {schema: reportedCrontabSchema},
    errors: [...user, 'INVALID_QUERY', 'INVALID_CRONTAB', ...body, 'PRECONDITION_FAILED', 'STORAGE_FULL'],
  },
  {
    method: 'get',
    path: '/crontab',
    summary: 'The crontabs of all users',
    query: pages,
    answer: {schema: crontabListSchema},
    errors: ['INVALID_PAGINATION'],
  },
  {
    method: 'get',
    path: '/users/{user}/entries',
    summary:
      'Managed entries and raw lines in file order; under `/api/v1/cron` as an array with `X-Total-Count` and `Link`',
    query: pages,
    answer: {schema: entryListSchema},
    errors: [...user, 'INVALID_PAGINATION'],
  },
  {
    method: 'post',
    path: '/users/{user}/entries',
    summary: 'Create a managed entry',
    body: {schema: createEntrySchema},
    answer: {status: 201, schema: managedEntrySchema},
    errors: [...user, ...body, ...fields, 'STORAGE_FULL'],
  },
  {
    method: 'get',
    path: '/users/{user}/entries/{id}',
    summary: 'One entry, by its id or the first four or more characters of it',
    answer: {schema: z.union([managedEntrySchema, entryItemSchema])},
    errors: entry,
  },
  {
    method: 'patch',
    path: '/users/{user}/entries/{id}',
    summary: 'Change a managed entry',
    body: {schema: updateEntrySchema},
    answer: {schema: managedEntrySchema},
    errors: [...entry, ...body, ...fields, 'STORAGE_FULL'],
  },
  {
    method: 'delete',
    path: '/users/{user}/entries/{id}',
    summary: 'Delete a managed entry; its runs stay',
    answer: {schema: deletedSchema},
    errors: entry,
  },
  {
    method: 'get',
    path: '/users/{user}/entries/{id}/next',
    summary: 'The next runs of an entry',
    query: {count},
    answer: {schema: nextRunsSchema},
    errors: [...entry, 'INVALID_PAGINATION'],
  },
  {
    method: 'get',
    path: '/users/{user}/entries/{id}/runs',
    summary: 'The runs of an entry, also of one that is gone',
    query: runQuery,
    answer: {schema: runListSchema},
    errors: [...user, 'INVALID_QUERY', 'INVALID_PAGINATION'],
  },
  {
    method: 'post',
    path: '/users/{user}/entries/{id}/run',
    summary: 'Run a job now, as its schedule would; the answer is the record of the run that begins',
    answer: {status: 202, schema: runSchema},
    errors: [...entry, 'SHUTTING_DOWN', 'STORAGE_FULL'],
  },
  {
    method: 'post',
    path: '/users/{user}/entries/{id}/pause',
    summary: 'Do not run an entry for a while; due runs leave a record',
    body: {schema: pauseRequestSchema, optional: true},
    answer: {schema: z.union([managedEntrySchema, entryItemSchema])},
    errors: [...entry, 'INVALID_JSON', 'INVALID_BODY', 'PAYLOAD_TOO_LARGE', 'STORAGE_FULL'],
  },
  {
    method: 'post',
    path: '/users/{user}/entries/{id}/resume',
    summary: 'End a pause',
    answer: {schema: z.union([managedEntrySchema, entryItemSchema])},
    errors: [...entry, 'STORAGE_FULL'],
  },
  {
    method: 'get',
    path: '/users/{user}/why',
    summary: 'Whether and why an entry ran in a minute',
    query: {
      entry: {
        schema: z.string(),
        description: 'Id, the first four or more characters of it, or name.',
        required: true,
      },
      at: {schema: instant, description: 'An instant in the minute.', required: true},
    },
    answer: {schema: whySchema},
    errors: [...user, 'INVALID_QUERY', 'ENTRY_NOT_FOUND'],
  },
  {
    method: 'get',
    path: '/users/{user}/runs',
    summary: 'Runs and runs that did not happen, newest first',
    query: runQuery,
    answer: {schema: runListSchema},
    errors: [...user, 'INVALID_QUERY', 'INVALID_PAGINATION'],
  },
  {
    method: 'get',
    path: '/users/{user}/runs/{id}',
    summary: 'One run',
    answer: {schema: runSchema},
    errors: [...user, 'RUN_NOT_FOUND'],
  },
  {
    method: 'get',
    path: '/users/{user}/runs/{id}/output',
    summary: 'The output of a run; followed, the events are `RunOutputEvent` shapes',
    query: {follow: {schema: z.enum(['0', '1']), description: '`1` streams what comes in until the end.'}},
    answer: {schema: runOutputSchema, types: ['application/json', 'text/event-stream']},
    errors: [...user, 'INVALID_QUERY', 'RUN_NOT_FOUND'],
  },
  {
    method: 'get',
    path: '/preview',
    summary: 'What a schedule means and when it comes, without any entry',
    query: {
      schedule: {schema: z.string(), description: 'Five fields or a macro.', required: true},
      timezone: {schema: z.string(), description: "IANA name; the container's unless given."},
      after: {schema: instant, description: 'Runs after this instant; now unless given.'},
      count,
    },
    answer: {schema: schedulePreviewSchema},
    errors: ['INVALID_QUERY', 'INVALID_PAGINATION'],
  },
  {
    method: 'post',
    path: '/preview',
    summary: 'What a crontab means, without its being stored',
    body: {schema: rawCrontabSchema, text: true},
    answer: {schema: crontabPreviewSchema},
    errors: body,
  },
  {
    method: 'get',
    path: '/metrics',
    summary: 'Counters and histograms for Prometheus, without commands',
    answer: {types: ['text/plain']},
    errors: [],
  },
  ...ownRoutes(healthSchema),
];

/** The OpenAPI 3.1 document of the cron kit. */
export function cronOpenApi(): Json {
  return openApiDocument({
    title: 'Cron',
    description:
      'Schedules of one container. Each path also answers below `/api/v1/cron`. `me` as a user is the default user. Fields beyond the public API are additions; what is absent from a body keeps its default.',
    prefix: '/api/v1/cron',
    routes: cronRouteTable,
    furtherSchemas: [crontabWarningSchema, runCallSchema, pauseSchema, outputEventSchema],
  });
}

/** The same as YAML. */
export function printCronOpenApi(): string {
  return printOpenApi(cronOpenApi());
}
