import {stringify} from 'yaml';
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
import {type ErrorCode, errorCatalogue} from '../schemas/errors.ts';
import {runCallSchema, runListSchema, runSchema, runStatusSchema} from '../schemas/run.ts';

interface Route {
  readonly method: 'get' | 'put' | 'post' | 'patch' | 'delete';
  /** As OpenAPI writes it; names in braces are parameters. */
  readonly path: string;
  readonly summary: string;
  readonly query?: Readonly<Record<string, Parameter>>;
  readonly headers?: Readonly<Record<string, Parameter>>;
  readonly body?: {readonly schema: z.ZodType; readonly text?: boolean; readonly optional?: boolean};
  readonly answer: {
    readonly status?: number;
    readonly schema?: z.ZodType;
    readonly types?: readonly string[];
  };
  readonly errors: readonly ErrorCode[];
}

interface Parameter {
  readonly schema: z.ZodType;
  readonly description: string;
  readonly required?: true;
}

const instant = z.string().meta({format: 'date-time'});
const deletedSchema = z.object({deleted: z.literal(true)}).meta({id: 'Deleted'});
const healthSchema = z
  .object({
    status: z.literal('ok'),
    service: z.literal('cron'),
    started: z.string(),
    pid: z.int(),
    ip: z.string(),
    fds: z.int().nullable(),
    built: z.string().nullable(),
    user_agent: z.string().nullable(),
    memory: z.object({rss: z.int(), heap: z.int().nullable()}).nullable(),
  })
  .meta({id: 'Health'});
const errorSchema = z
  .object({code: z.string(), message: z.string(), details: z.unknown()})
  .meta({id: 'Error', description: 'Texts may change, codes may not.'});

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
  {
    method: 'get',
    path: '/health',
    summary: 'Whether the kit answers',
    answer: {schema: healthSchema},
    errors: [],
  },
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    answer: {types: ['application/json']},
    errors: [],
  },
  {
    method: 'get',
    path: '/openapi.yaml',
    summary: 'This document',
    answer: {types: ['application/yaml']},
    errors: [],
  },
];

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of the cron kit. Shapes come from the schemas that the routes read and answer with. */
export function cronOpenApi(): Json {
  const named = [
    ...new Set([
      errorSchema,
      crontabWarningSchema,
      runCallSchema,
      pauseSchema,
      outputEventSchema,
      ...cronRouteTable.flatMap(namedSchemas),
    ]),
  ];
  const registry = z.registry<{id: string}>();
  for (const schema of named) registry.add(schema, {id: idOf(schema) ?? ''});
  const {schemas} = z.toJSONSchema(registry, {
    io: 'input',
    unrepresentable: 'any',
    uri: (id) => `#/components/schemas/${id}`,
    override({jsonSchema}) {
      delete jsonSchema.id;
      // What a double can hold exactly is no rule of ours.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  for (const schema of Object.values(schemas)) {
    delete schema.$schema;
    delete schema.$id;
  }
  const paths: Record<string, Json> = {};
  for (const route of cronRouteTable)
    paths[route.path] = {...paths[route.path], [route.method]: operation(route)};
  return {
    openapi: '3.1.0',
    info: {
      title: 'Cron',
      version: '1',
      description:
        'Schedules of one container. Each path also answers below `/api/v1/cron`. `me` as a user is the default user. Fields beyond the public API are additions; what is absent from a body keeps its default.',
    },
    servers: [{url: '/'}, {url: '/api/v1/cron'}],
    paths,
    components: {schemas},
  };
}

/** The same as YAML. */
export function printCronOpenApi(): string {
  return stringify(cronOpenApi(), {aliasDuplicateObjects: false});
}

function operation({method, path, summary, query = {}, headers = {}, body, answer, errors}: Route): Json {
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: {type: 'string'},
    })),
    ...Object.entries(query).map(([name, parameter]) => ({
      name,
      in: 'query',
      required: parameter.required ?? false,
      ...printed(parameter),
    })),
    ...Object.entries(headers).map(([name, parameter]) => ({
      name,
      in: 'header',
      required: false,
      ...printed(parameter),
    })),
  ];
  return {
    operationId: [method, ...path.split(/[/{}.]+/).filter((word) => word !== '')].join('_'),
    summary,
    ...(parameters.length === 0 ? {} : {parameters}),
    ...(body === undefined
      ? {}
      : {requestBody: {required: body.optional !== true, content: requestContent(body)}}),
    responses: {[String(answer.status ?? 200)]: success(answer), ...failures(errors)},
  };
}

function printed({schema, description}: Parameter): Json {
  const {$schema: _dialect, maximum, ...rest} = z.toJSONSchema(schema, {io: 'input'});
  const bounded = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? rest : {...rest, maximum};
  return {schema: bounded, description};
}

function requestContent({schema, text = false}: NonNullable<Route['body']>): Json {
  return {
    'application/json': {schema: reference(schema)},
    ...(text ? {'text/plain': {schema: {type: 'string'}}} : {}),
  };
}

function success({schema, types = ['application/json']}: Route['answer']): Json {
  const content = types.map((type) => {
    const isJson = type === 'application/json';
    return [
      type,
      {schema: isJson && schema !== undefined ? reference(schema) : {type: isJson ? 'object' : 'string'}},
    ];
  });
  return {description: 'Done.', content: Object.fromEntries(content)};
}

/** One response per status, with its codes and their meanings. */
function failures(errors: readonly ErrorCode[]): Json {
  const byStatus = Map.groupBy(errors, (code) => String(errorCatalogue[code].status));
  return Object.fromEntries(
    [...byStatus].sort().map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\`: ${errorCatalogue[code].meaning}`).join(' '),
        content: {'application/json': {schema: reference(errorSchema)}},
      },
    ]),
  );
}

function namedSchemas({body, answer}: Route): z.ZodType[] {
  return [body?.schema, answer.schema].flatMap((schema) => {
    if (schema === undefined) return [];
    return schema instanceof z.ZodUnion ? schema.options.filter(isSchema) : [schema];
  });
}

function isSchema(value: unknown): value is z.ZodType {
  return value instanceof z.ZodType;
}

function reference(schema: z.ZodType): Json {
  if (idOf(schema) === undefined && schema instanceof z.ZodUnion)
    return {anyOf: schema.options.filter(isSchema).map(reference)};
  return {$ref: `#/components/schemas/${idOf(schema)}`};
}

function idOf(schema: z.ZodType): string | undefined {
  return schema.meta()?.id;
}
