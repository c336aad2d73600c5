import * as z from 'zod';
import {createDeploymentSchema, createRollbackSchema} from '../schemas/control.ts';
import {deployedSchema, deploymentVersionSchema} from '../schemas/deployment-api.ts';
import type {ErrorCode} from '../schemas/errors.ts';
import {
  bulkUpdateCommentsSchema,
  bulkUpdatedCommentsSchema,
  dependencyReportSchema,
  discoveredRoutesSchema,
  discoverRoutesSchema,
  magicCommentCatalogueSchema,
  magicCommentReportSchema,
  resolvedRouteSchema,
  resolveRouteSchema,
  returnReportSchema,
  syntaxReportSchema,
  testedRoutesSchema,
  testRoutesSchema,
  typescriptReportSchema,
  updateCommentsSchema,
  updatedCommentsSchema,
  validateRequestSchema,
  validationReportSchema,
} from '../schemas/exec-management.ts';
import * as operations from '../schemas/exec-operations.ts';
import * as packages from '../schemas/exec-packages.ts';
import {
  deletedScriptSchema,
  listedScriptSchema,
  movedScriptSchema,
  moveScriptSchema,
  scriptFilterSchema,
  scriptListSchema,
  scriptNodeSchema,
  scriptSchema,
  scriptTreeSchema,
  treeRequestSchema,
  typeReportSchema,
  writeScriptSchema,
  writtenScriptSchema,
} from '../schemas/exec-scripts.ts';
import {
  executionEventSchema,
  executionListSchema,
  executionSchema,
  executionStatusSchema,
} from '../schemas/execution.ts';
import {issueSchema} from '../schemas/issue.ts';
import {
  healthOf,
  type Json,
  openApiDocument,
  ownRoutes,
  type Parameter,
  printOpenApi,
  type Route,
} from './openapi-document.ts';

const health = healthOf({id: 'ExecHealth', service: z.string(), agent: 'userAgent'});
const deployment = createDeploymentSchema().meta({id: 'Deployment'});
const rollback = createRollbackSchema().meta({id: 'Rollback'});
const versions = z.object({deployments: z.array(deploymentVersionSchema)}).meta({id: 'DeploymentList'});

const text = (description: string, required?: true): Parameter => ({
  schema: z.string(),
  description,
  ...(required === undefined ? {} : {required}),
});
const flag = (description: string): Parameter => ({schema: z.boolean(), description});
const limit = (most: number, otherwise: number): Parameter => ({
  schema: z.int().min(1).max(most).default(otherwise),
  description: 'How many.',
});
const path = text('Path below the scripts, for example api/hello.ts.', true);
const confirm: Parameter = {
  schema: z.literal('true'),
  description: 'Says that it is meant.',
  required: true,
};

const bad = ['INVALID_JSON', 'INVALID_BODY', 'PAYLOAD_TOO_LARGE'] as const;
const script = ['INVALID_QUERY', 'SCRIPT_NOT_FOUND', 'PATH_EXCLUDED'] as const;

const get = (
  routePath: string,
  summary: string,
  schema: z.ZodType | undefined,
  rest: {
    query?: Readonly<Record<string, Parameter>>;
    errors?: readonly ErrorCode[];
    types?: readonly string[];
  } = {},
): Route => ({
  method: 'get',
  path: routePath,
  summary,
  ...(rest.query === undefined ? {} : {query: rest.query}),
  answer: {
    ...(schema === undefined ? {} : {schema}),
    ...(rest.types === undefined ? {} : {types: rest.types}),
  },
  errors: rest.errors ?? [],
});

const post = (
  routePath: string,
  summary: string,
  body: z.ZodType | null,
  schema: z.ZodType,
  rest: {errors?: readonly ErrorCode[]; optional?: true; status?: number} = {},
): Route => ({
  method: 'post',
  path: routePath,
  summary,
  ...(body === null
    ? {}
    : {body: {schema: body, ...(rest.optional === undefined ? {} : {optional: rest.optional})}}),
  answer: {schema, ...(rest.status === undefined ? {} : {status: rest.status})},
  errors: [...(body === null ? [] : bad), ...(rest.errors ?? [])],
});

const filters = Object.fromEntries(
  Object.entries(scriptFilterSchema.shape).map(([name, schema]) => [
    name,
    {schema, description: schema.meta()?.description ?? `Only scripts with this ${name}.`},
  ]),
);

/** Every route below `/api/v1/exec`; a test compares it with what is served. */
export const execRouteTable: readonly Route[] = [
  ...ownRoutes(health),
  get('/list', 'The deployments of the container: one', operations.execIdsSchema),

  post('/scripts/write', 'Write one script', writeScriptSchema, writtenScriptSchema, {
    errors: ['SCRIPT_INVALID', 'SCRIPT_EXISTS', 'SCRIPT_NOT_FOUND', 'PATH_EXCLUDED', 'DEPENDENCIES_FAILED'],
  }),
  get('/scripts/read', 'One script with its magic comments', scriptSchema, {query: {path}, errors: script}),
  get('/scripts/list', 'Scripts, by what they say of themselves', scriptListSchema, {
    query: {
      dir: text('Only below this directory.'),
      recursive: flag('Also below its directories; true unless given.'),
      ...filters,
    },
    errors: ['INVALID_QUERY'],
  }),
  post('/scripts/tree', 'Scripts as a tree', treeRequestSchema, scriptTreeSchema),
  post('/scripts/move', 'Give a script another path', moveScriptSchema, movedScriptSchema, {
    errors: ['SCRIPT_NOT_FOUND', 'SCRIPT_EXISTS', 'PATH_EXCLUDED'],
  }),
  {
    method: 'delete',
    path: '/scripts/delete',
    summary: 'Delete one script',
    query: {path, confirm},
    answer: {schema: deletedScriptSchema},
    errors: [...script, 'CONFIRM_REQUIRED'],
  },

  get('/deployments', 'The kept sets of scripts, newest first', versions),
  {
    method: 'put',
    path: '/deployments',
    summary: "Replace the whole set at once; on the controller's socket only",
    body: {schema: deployment},
    answer: {schema: deployedSchema},
    errors: [...bad, 'BLOBS_MISSING', 'DEPENDENCIES_FAILED'],
  },
  get(
    '/deployments/current',
    "The files of the present set; on the controller's socket only",
    z.object({files: z.array(z.object({path: z.string(), sha256: z.string()}))}).meta({id: 'DeployedFiles'}),
  ),
  {
    method: 'get',
    path: '/deployments/current/file',
    summary: "One of them as it is; on the controller's socket only",
    query: {path},
    answer: {types: ['application/octet-stream']},
    errors: ['SCRIPT_NOT_FOUND'],
  },
  post(
    '/deployments/rollback',
    "Make a kept set the present one; on the controller's socket only",
    rollback,
    deployedSchema,
    {errors: ['VERSION_NOT_FOUND']},
  ),

  post(
    '/validate/script',
    'All that can be said of a text without running it',
    validateRequestSchema,
    validationReportSchema,
  ),
  post('/validate/syntax', 'Whether a text parses', validateRequestSchema, syntaxReportSchema),
  post(
    '/validate/typescript',
    'The same, and the types where the packages of the scripts bring `typescript`',
    validateRequestSchema,
    typescriptReportSchema,
  ),
  post(
    '/validate/dependencies',
    'What a text imports, and whether it is here',
    validateRequestSchema,
    dependencyReportSchema,
    {errors: ['SCRIPT_INVALID']},
  ),
  post(
    '/validate/magic-comments',
    'The magic comments of a text',
    validateRequestSchema,
    magicCommentReportSchema,
  ),
  post('/validate/return-type', 'What a text answers with', validateRequestSchema, returnReportSchema, {
    errors: ['SCRIPT_INVALID'],
  }),

  get('/magic-comments/schema', 'Every magic comment there is', magicCommentCatalogueSchema),
  get('/magic-comments/read', 'The magic comments of a script', magicCommentReportSchema, {
    query: {path},
    errors: script,
  }),
  {
    method: 'put',
    path: '/magic-comments/update',
    summary: 'Set or remove magic comments of a script',
    body: {schema: updateCommentsSchema},
    answer: {schema: updatedCommentsSchema},
    errors: [...bad, 'SCRIPT_NOT_FOUND', 'PATH_EXCLUDED'],
  },
  post(
    '/magic-comments/bulk-update',
    'The same for many scripts: all or none',
    bulkUpdateCommentsSchema,
    bulkUpdatedCommentsSchema,
    {errors: ['SCRIPT_NOT_FOUND', 'PATH_EXCLUDED']},
  ),

  post('/route/resolve', 'Which script answers a path', resolveRouteSchema, resolvedRouteSchema, {
    errors: ['PATH_EXCLUDED', 'INVALID_QUERY'],
  }),
  post('/route/discover', 'Every route', discoverRoutesSchema, discoveredRoutesSchema),
  post('/route/test', 'Which scripts answer many paths', testRoutesSchema, testedRoutesSchema),

  get('/monitor/stats', 'Numbers since the runtime started', operations.monitorStatsSchema),
  get('/monitor/active-requests', 'Calls without an answer yet', operations.activeCallsSchema),
  get('/monitor/scripts', 'Numbers by script', operations.monitoredScriptsSchema, {
    query: {
      limit: limit(500, 100),
      sort: {schema: operations.scriptSortSchema.default('calls'), description: 'Largest first.'},
    },
    errors: ['INVALID_QUERY'],
  }),
  get('/monitor/metrics', 'The same for Prometheus', undefined, {types: ['text/plain']}),
  post(
    '/monitor/script-performance',
    'Numbers of one script',
    operations.scriptPerformanceRequestSchema,
    operations.scriptPerformanceSchema,
    {optional: true},
  ),

  get('/logs/list', 'The logs', operations.logListSchema, {
    query: {
      type: {schema: operations.logTypeSchema, description: 'Only of this kind.'},
      limit: limit(1000, 100),
    },
    errors: ['INVALID_QUERY'],
  }),
  post('/logs/read', 'Lines of a log', operations.readLogSchema, operations.logLinesSchema, {
    errors: ['LOG_NOT_FOUND'],
  }),
  post(
    '/logs/search',
    'Lines of all logs that match',
    operations.searchLogsSchema,
    operations.foundLinesSchema,
  ),
  get('/logs/stream', 'The last 100 lines of a log, then every new one', undefined, {
    query: {file: text('A log as logs/list shows it.', true), follow: flag('True unless given.')},
    types: ['text/event-stream'],
    errors: ['INVALID_QUERY', 'LOG_NOT_FOUND'],
  }),
  get('/executions', 'The records of calls, newest first', executionListSchema, {
    query: {
      script: text('Path of the script.'),
      status: {schema: executionStatusSchema, description: 'How the call ended.'},
      commit: text('The commit that was applied.'),
      run: text('The run of a job that made the calls.'),
      search: text(
        'Only calls whose output or error holds this text, in either case. A page may be short while `next_cursor` leads on.',
      ),
      since: text('Started at or after, RFC 3339.'),
      until: text('Started before, RFC 3339.'),
      cursor: text('`next_cursor` of the page before.'),
      limit: limit(200, 50),
    },
    errors: ['INVALID_QUERY', 'INVALID_PAGINATION'],
  }),
  get('/executions/follow', 'All calls as they begin, print and end', undefined, {
    query: {
      script: text('Path of the script.'),
      status: {schema: executionStatusSchema, description: 'Only calls that end so, once they do.'},
    },
    types: ['text/event-stream'],
    errors: ['INVALID_QUERY'],
  }),
  get('/executions/{id}', 'The record of one call', executionSchema, {errors: ['EXECUTION_NOT_FOUND']}),
  get('/executions/{id}/follow', 'One call until it is over', undefined, {
    types: ['text/event-stream'],
    errors: ['EXECUTION_NOT_FOUND'],
  }),
  {
    method: 'delete',
    path: '/logs/clear',
    summary: 'Remove logs: one, those of a kind, or old ones',
    query: {
      file: text('One log.'),
      type: {schema: operations.logTypeSchema, description: 'All of this kind.'},
      olderThanDays: {schema: z.int().min(0), description: 'Those not written to for so long.'},
      confirm,
    },
    answer: {schema: operations.clearedLogsSchema},
    errors: ['INVALID_QUERY', 'CONFIRM_REQUIRED', 'LOG_NOT_FOUND', 'NOT_IMPLEMENTED'],
  },

  get('/schedules/list', 'Scripts that say when they run', operations.scheduleListSchema),
  get('/schedules/history', 'Their runs, newest first', operations.scheduleHistorySchema, {
    query: {
      scriptPath: text('Only of this script.'),
      since: text('Scheduled at or after; RFC 3339.'),
      limit: limit(1000, 100),
      includeRotated: flag('Also from the file before the present one.'),
      cursor: text('`nextCursor` of the page before.'),
    },
    errors: ['INVALID_QUERY'],
  }),
  post(
    '/schedules/reload',
    'Read the schedules anew',
    operations.reloadSchedulesSchema,
    operations.reloadedSchedulesSchema,
    {optional: true},
  ),
  post(
    '/schedules/trigger',
    'Run a scheduled script now',
    operations.triggerScheduleSchema,
    operations.triggeredScheduleSchema,
    {errors: ['SCHEDULE_NOT_FOUND']},
  ),

  post('/cache/clear', 'Start scripts anew', operations.clearCacheSchema, operations.clearedCacheSchema),
  post('/shared-state/get', 'What scripts share', operations.getStateSchema, operations.sharedStateSchema, {
    errors: ['SCRIPT_HOST_FAILED'],
  }),
  post('/shared-state/set', 'Change it', operations.setStateSchema, operations.sharedStateSchema, {
    errors: ['SCRIPT_HOST_FAILED'],
  }),
  post(
    '/shared-state/clear',
    'Remove parts of it',
    operations.clearStateSchema,
    operations.sharedStateSchema,
    {errors: ['SCRIPT_HOST_FAILED']},
  ),
  get('/system/restart-status', 'Whether hosts are being replaced', operations.restartStatusSchema),
  post(
    '/system/restart',
    'Replace the script hosts',
    operations.restartSchema,
    operations.restartStatusSchema,
    {optional: true, status: 202},
  ),

  get('/dependencies/bundled', 'Modules that are built in', packages.bundledModulesSchema),
  post(
    '/dependencies/check',
    'Whether modules are here',
    packages.checkDependenciesSchema,
    packages.checkedDependenciesSchema,
    {errors: ['SCRIPT_INVALID']},
  ),
  post(
    '/dependencies/install',
    'Add packages and lock them',
    packages.installModulesSchema,
    packages.packageViewSchema,
    {errors: ['DEPENDENCIES_FAILED']},
  ),
  get('/package/read', 'package.json, the lock file, and what is installed', packages.packageViewSchema),
  get('/package/compare', 'Declared and installed packages', packages.comparedPackagesSchema),
  post('/package/compare', 'The same', null, packages.comparedPackagesSchema),
  post('/package/init', 'Begin a package.json', packages.initPackageSchema, packages.packageViewSchema, {
    optional: true,
    errors: ['SCRIPT_EXISTS'],
  }),
  post(
    '/package/update',
    'Change dependencies and lock them',
    packages.updatePackageSchema,
    packages.packageViewSchema,
    {optional: true, errors: ['DEPENDENCIES_FAILED']},
  ),
  post('/package/install', 'Write the lock file anew', null, packages.packageViewSchema, {
    errors: ['DEPENDENCIES_FAILED'],
  }),
  post(
    '/package/pin',
    'Replace ranges by the installed versions',
    packages.pinPackagesSchema,
    packages.packageViewSchema,
    {optional: true, errors: ['DEPENDENCIES_FAILED']},
  ),
];

/** The OpenAPI 3.1 document of the exec kit's management. Scripts answer at all other paths. */
export function execOpenApi(): Json {
  const document = openApiDocument({
    title: 'Exec',
    description:
      'Scripts of one container. A script answers at its own path; these routes manage scripts. The query parameter `execId` is accepted everywhere: a container has one deployment.',
    prefix: '/api/v1/exec',
    routes: execRouteTable,
    furtherSchemas: [
      deploymentVersionSchema,
      listedScriptSchema,
      scriptNodeSchema,
      typeReportSchema,
      issueSchema,
      executionEventSchema,
      operations.activeCallSchema,
      operations.scheduledRunSchema,
      operations.scriptMetricsSchema,
      operations.scriptScheduleSchema,
    ],
  });
  return {...document, servers: [{url: '/api/v1/exec'}]};
}

/** The same as YAML. */
export function printExecOpenApi(): string {
  return printOpenApi(execOpenApi());
}
