import * as z from 'zod';
import {scriptPathSchema} from './exec-api.ts';

/** Shapes of the routes by which exec is watched and run: monitor, logs, schedules, cache, shared state, restart. */

export const activeCallSchema = z
  .object({
    executionId: z.string(),
    scriptPath: z.string(),
    method: z.string(),
    url: z.string().meta({description: 'Path without query.'}),
    startedAt: z.string(),
    duration: z.number().meta({description: 'Milliseconds.'}),
  })
  .meta({id: 'ActiveCall'});
export type ActiveCall = z.infer<typeof activeCallSchema>;

export const activeCallsSchema = z
  .object({count: z.int(), active: z.array(activeCallSchema)})
  .meta({id: 'ActiveCalls'});

const totalsSchema = z.object({
  total: z.int(),
  success: z.int(),
  errors: z.int().meta({description: 'Answered with 5xx.'}),
  activeHttp: z.int(),
});
export type CallTotals = z.infer<typeof totalsSchema>;

export const scriptMetricsSchema = z
  .object({
    scriptPath: z.string(),
    calls: z.int(),
    errors: z.int(),
    averageMs: z.number(),
    p50Ms: z.number().meta({description: 'Of the last 200 calls.'}),
    p95Ms: z.number().meta({description: 'Of the last 200 calls.'}),
    maxMs: z.number(),
    lastCalledAt: z.string(),
    lastStatus: z.int(),
  })
  .meta({id: 'ScriptMetrics'});
export type ScriptMetrics = z.infer<typeof scriptMetricsSchema>;

export const monitorStatsSchema = z
  .object({
    uptime: z.number().meta({description: 'Seconds since the runtime started.'}),
    memory: z.object({rss: z.int(), heap: z.int()}).meta({description: 'Bytes, of the runtime itself.'}),
    cache: z.object({scripts: z.int(), versions: z.int()}),
    requests: totalsSchema,
    websocket: z.object({active: z.int()}),
    cron: z.object({schedules: z.int(), running: z.int()}),
    hosts: z.int().meta({description: 'Script hosts that run.'}),
  })
  .meta({id: 'MonitorStats'});
export type MonitorStats = z.infer<typeof monitorStatsSchema>;

export const scriptSortSchema = z.enum(['calls', 'errors', 'averageMs', 'maxMs', 'lastCalledAt']);
export type ScriptSort = z.infer<typeof scriptSortSchema>;
export const monitoredScriptsSchema = z
  .object({count: z.int(), scripts: z.array(scriptMetricsSchema)})
  .meta({id: 'MonitoredScripts'});
export const scriptPerformanceRequestSchema = z
  .object({scriptPath: z.string().max(1024).default('')})
  .meta({id: 'ScriptPerformanceRequest'});
export const scriptPerformanceSchema = z
  .object({metrics: z.union([scriptMetricsSchema, z.object({})])})
  .meta({id: 'ScriptPerformance'});

export const logListSchema = z
  .object({
    logs: z.array(z.object({name: z.string(), size: z.int(), modified: z.string()})),
    count: z.int(),
  })
  .meta({id: 'LogList'});
export type LogList = z.infer<typeof logListSchema>;

export const logTypes = ['access', 'cron', 'executions'] as const;
export const logTypeSchema = z.enum(logTypes);
export type LogType = z.infer<typeof logTypeSchema>;

const logName = z
  .string()
  .max(300)
  .regex(/^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+){0,3}$/, 'A name as logs/list shows it.');

export const readLogSchema = z
  .object({
    file: logName.optional(),
    executionId: z.uuid().optional(),
    lines: z.int().min(1).max(10_000).default(100),
    tail: z.boolean().default(true),
    search: z.string().max(1000).optional(),
  })
  .refine(({file, executionId}) => (file === undefined) !== (executionId === undefined), {
    message: 'Name either file or executionId.',
  })
  .meta({id: 'ReadLog'});
export type ReadLog = z.infer<typeof readLogSchema>;

export const logLinesSchema = z
  .object({
    file: z.string(),
    totalLines: z.int(),
    filteredLines: z.int(),
    returnedLines: z.int(),
    lines: z.array(z.string()),
    size: z.int(),
    modified: z.string(),
  })
  .meta({id: 'LogLines'});
export type LogLines = z.infer<typeof logLinesSchema>;

export const searchLogsSchema = z
  .object({
    query: z.string().min(1).max(1000).optional(),
    regex: z.string().min(1).max(64).optional().meta({description: 'POSIX extended.'}),
    files: z
      .array(logName)
      .max(100)
      .optional()
      .meta({description: 'As logs/list shows them; absent: all, and what all calls printed.'}),
    limit: z.int().min(1).max(10_000).default(1000),
    caseSensitive: z.boolean().default(false),
  })
  .refine(({query, regex}) => (query === undefined) !== (regex === undefined), {
    message: 'Send either query or regex.',
  })
  .meta({id: 'SearchLogs'});
export type SearchLogs = z.infer<typeof searchLogsSchema>;

export const foundLinesSchema = z
  .object({
    count: z.int(),
    truncated: z.boolean(),
    matches: z.array(z.object({file: z.string(), line: z.int(), text: z.string()})),
  })
  .meta({id: 'FoundLines'});
export type FoundLines = z.infer<typeof foundLinesSchema>;

export const clearedLogsSchema = z
  .object({cleared: z.int(), files: z.array(z.string()), freedBytes: z.int()})
  .meta({id: 'ClearedLogs'});
export type ClearedLogs = z.infer<typeof clearedLogsSchema>;

export const scheduleStatusSchema = z.enum(['success', 'error', 'timeout', 'skipped']);
export const scheduledRunSchema = z
  .object({
    runId: z.string(),
    scriptPath: z.string(),
    trigger: z.enum(['schedule', 'manual']),
    scheduledAt: z.string(),
    status: scheduleStatusSchema,
    httpStatus: z.int().nullable(),
    executionId: z.string().nullable(),
    durationMs: z.number(),
    error: z.string().nullable(),
  })
  .meta({id: 'ScheduledRun'});
export type ScheduledRun = z.infer<typeof scheduledRunSchema>;

export const scriptScheduleSchema = z
  .object({
    scriptPath: z.string(),
    schedule: z.string(),
    timezone: z.literal('UTC'),
    timeoutMs: z.number().nullable(),
    nextRun: z.string().nullable(),
    running: z.boolean(),
    issue: z.string().nullable().meta({description: 'Why it never runs.'}),
  })
  .meta({id: 'ScriptSchedule'});
export type ScriptSchedule = z.infer<typeof scriptScheduleSchema>;

export const scheduleListSchema = z
  .object({count: z.int(), schedules: z.array(scriptScheduleSchema)})
  .meta({id: 'ScheduleList'});

export const scheduleHistorySchema = z
  .object({count: z.int(), runs: z.array(scheduledRunSchema), nextCursor: z.string().nullable()})
  .meta({id: 'ScheduleHistory'});
export type ScheduleHistory = z.infer<typeof scheduleHistorySchema>;

export const reloadSchedulesSchema = z
  .object({dry_run: z.boolean().default(false)})
  .meta({id: 'ReloadSchedules'});
export const reloadedSchedulesSchema = z
  .object({
    dryRun: z.boolean(),
    added: z.array(z.string()),
    kept: z.array(z.string()),
    removed: z.array(z.string()),
  })
  .meta({id: 'ReloadedSchedules'});
export type ReloadedSchedules = z.infer<typeof reloadedSchedulesSchema>;

export const triggerScheduleSchema = z
  .object({scriptPath: scriptPathSchema, force: z.boolean().default(false)})
  .meta({id: 'TriggerSchedule'});
export const triggeredScheduleSchema = z
  .object({
    triggered: z.boolean(),
    scriptPath: z.string(),
    runId: z.string(),
    status: scheduleStatusSchema,
    durationMs: z.number(),
    error: z.string().optional(),
  })
  .meta({id: 'TriggeredSchedule'});
export type TriggeredSchedule = z.infer<typeof triggeredScheduleSchema>;

/** A container has one deployment: any host name and id that could be one names it. */
const deploymentScope = {
  hostname: z.string().min(1).max(253).optional(),
  execId: z
    .string()
    .regex(/^[a-z0-9]{1,64}$/)
    .optional(),
};

export const clearCacheSchema = z
  .object({
    ...deploymentScope,
    clearAll: z.boolean().default(false),
    clearVm: z.boolean().default(true),
    clearState: z.boolean().default(false),
    scriptPath: z.never('Single scripts have no cache of their own; leave scriptPath out.').optional(),
  })
  .refine(({hostname, clearAll}) => hostname !== undefined || clearAll, {
    message: 'Name a hostname, or send clearAll: true.',
  })
  .meta({id: 'ClearCache'});
export type ClearCache = z.infer<typeof clearCacheSchema>;
export const clearedCacheSchema = z
  .object({
    cleared: z.boolean(),
    vm: z.boolean(),
    state: z.boolean().meta({description: 'Shared state lives in the script host and goes with it.'}),
  })
  .meta({id: 'ClearedCache'});
export type ClearedCache = z.infer<typeof clearedCacheSchema>;

const statePath = z
  .string()
  .max(1000)
  .refine(
    (path) => path.split('.').every((key) => !['__proto__', 'constructor', 'prototype'].includes(key)),
    'This key cannot be used.',
  )
  .meta({description: 'Keys with dots between; absent: the whole object.', example: 'counters.today'});
/** Bodies are JSON already. */
const anyJson = z.unknown().meta({description: 'Any JSON.'});
const scope = {...deploymentScope, hostname: z.string().min(1).max(253)};
export const getStateSchema = z.object({...scope, path: statePath.optional()}).meta({id: 'GetSharedState'});
export const setStateSchema = z
  .object({
    ...scope,
    path: statePath.optional(),
    value: anyJson.refine((value) => value !== undefined, 'Send a value; null is one.'),
    merge: z.boolean().default(false).meta({description: 'Objects are merged instead of replaced.'}),
  })
  .meta({id: 'SetSharedState'});
export const clearStateSchema = z
  .object({...scope, path: statePath.optional(), clearAll: z.boolean().default(false)})
  .refine(({path, clearAll}) => path !== undefined || clearAll, {
    message: 'Name a path, or send clearAll: true.',
  })
  .meta({id: 'ClearSharedState'});
export const sharedStateSchema = z
  .object({path: z.string().nullable(), exists: z.boolean(), value: anyJson})
  .meta({id: 'SharedState'});
export type SharedState = z.infer<typeof sharedStateSchema>;

export const restartSchema = z
  .object({
    graceful: z.boolean().default(true),
    drainTimeoutMs: z.int().min(0).max(600_000).default(5000),
    reason: z.string().max(500).nullable().default(null),
  })
  .meta({id: 'Restart'});
export type Restart = z.infer<typeof restartSchema>;
export const restartStatusSchema = z
  .object({
    restarting: z.boolean(),
    hosts: z.int(),
    lastRestart: z.object({at: z.string(), reason: z.string().nullable(), graceful: z.boolean()}).nullable(),
  })
  .meta({id: 'RestartStatus'});
export type RestartStatus = z.infer<typeof restartStatusSchema>;

export const execIdsSchema = z.object({count: z.int(), execIds: z.array(z.string())}).meta({id: 'ExecIds'});
