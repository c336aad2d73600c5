import * as z from 'zod';
import {createRunLimitsSchema} from './limits.ts';
import {createScriptMountSchema} from './script-settings.ts';
import {userNamePattern} from './user-name.ts';

/**
 * The runtime's control routes. They answer only on the controller's socket, under `/api/v1/control`:
 *
 *   GET  /api/v1/control              -> ControlState
 *   PUT  /api/v1/control/schedule     ScheduleChange   -> ControlState
 *   PUT  /api/v1/control/lease        LeaseChange      -> ControlState
 *   PUT  /api/v1/control/environment  EnvironmentChange -> ControlState
 *   POST /api/v1/control/workspace    change set, see `runtime/workspace/change-set.ts` -> {tree}
 *   POST /api/v1/control/jobs/stop    {grace_ms, reason}: no job starts any more, running ones end as interrupted
 *   GET  /api/v1/control/data         -> tar archive of the data directory, see `runtime/storage/data-archive.ts`
 *   PUT  /api/v1/control/data         such an archive; it takes the place of what is there
 *   POST /api/v1/control/seed         SeedRequest -> SeedResult
 *   POST /api/v1/control/shells       ShellRequest -> one `ShellEvent` per line, see `shell.ts`
 *   POST /api/v1/control/shells/:id/input  bytes; `?end=true` ends the input -> 204
 *   PUT  /api/v1/control/shells/:id/size   ShellSize -> 204
 *   GET  /api/v1/control/events       SSE, one `ControlEvent` per `data:` line
 *   GET  /api/v1/control/pumps        with `Upgrade: branchtab-pumps`: a channel, see `pump-orders.ts`
 *   PUT  /api/v1/exec/deployments     Deployment -> {digest, files}; 409 BLOBS_MISSING names what to send
 *   GET  /api/v1/exec/deployments/current       -> {files: [{path, sha256}]}
 *   GET  /api/v1/exec/deployments/current/file?path=  -> its bytes
 *   POST /api/v1/exec/deployments/rollback  {commit} or {digest} of a kept version -> {digest, files}
 */

/**
 * `held`: a new or cloned container before its first apply; `paused`: stopped by the controller or a person;
 * `running`: due jobs start. In the first two every due minute leaves a record `skipped: held` or `skipped: paused`.
 */
export const scheduleStateSchema = z.enum(['held', 'running', 'paused']);
/** Begins the id of a start with which no job runs before the schedule is released again. */
export const pausedBoot = 'paused-';
/** Why the schedule of a branch that git has lost is paused, by its controller or by such a start. */
export const branchMissing = 'branch_missing';
export type ScheduleState = z.infer<typeof scheduleStateSchema>;

// Schemas of requests are made where one comes: a runtime that waits would keep them for nothing.

export const createScheduleChangeSchema = () =>
  z.object({
    state: scheduleStateSchema,
    reason: z.string().max(500).nullable().default(null),
  });
export type ScheduleChange = z.infer<ReturnType<typeof createScheduleChangeSchema>>;

/** A person or a role with a crontab of its own, and the system user as whom its jobs run. */
const createContainerUserSchema = () =>
  z.object({
    name: z.string().regex(userNamePattern),
    account: z.string().max(32).nullable().meta({
      description: 'Null for the system user of that name, where there is one, else the runtime itself.',
    }),
  });
export type ContainerUser = z.infer<ReturnType<typeof createContainerUserSchema>>;

/**
 * Whether due jobs start: the state of the schedule, but for a schedule that should run and whose lease has run out.
 * Then every due minute leaves a record `skipped: lease_expired`.
 */
export type ScheduleGate = ScheduleState | 'lease_expired';

/** A new lease, from now on; null for a container that needs none. */
export const createLeaseChangeSchema = () =>
  z.object({
    duration_ms: z
      .int()
      .min(1000)
      .max(10 * 366 * 86_400_000)
      .nullable(),
  });
export type LeaseChange = z.infer<ReturnType<typeof createLeaseChangeSchema>>;

/** What the operator gives to a container beside variables. */
const createContainerSettingsSchema = () =>
  z.object({
    smtp_url: z
      .string()
      .max(2048)
      .nullable()
      .meta({description: 'Server that mails what jobs of a crontab with MAILTO write.'}),
    max_entries: z.int().min(0).max(10_000).meta({description: 'Jobs that one crontab may hold.'}),
    limits: createRunLimitsSchema().nullable().default(null),
    users: z.array(createContainerUserSchema()).max(1000).default([]),
    held_lines: z
      .union([z.literal('all'), z.array(z.string().max(32_768)).max(10_000)])
      .default([])
      .meta({
        description: 'Raw lines that do not run by themselves, as `<user> <rule>`; `all` for every raw line.',
      }),
  });
export type ContainerSettings = z.infer<ReturnType<typeof createContainerSettingsSchema>>;

export const plainSettings: ContainerSettings = {
  smtp_url: null,
  max_entries: 10_000,
  limits: null,
  users: [],
  held_lines: [],
};

/** How a line is named where it is held. */
export function heldLine(user: string, rule: string): string {
  return `${user} ${rule}`;
}

/** All of it replaces what was there; it reaches runs and calls that start afterwards. */
export const createEnvironmentChangeSchema = () =>
  z.object({
    revision: z.string().max(64).nullable(),
    variables: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(131_072)),
    secrets: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(131_072))
      .default({})
      .meta({description: 'Variables whose values are masked in all output that is kept or shown.'}),
    settings: createContainerSettingsSchema().default(plainSettings),
  });
export type EnvironmentChange = z.infer<ReturnType<typeof createEnvironmentChangeSchema>>;

/** Equal for equal environments whatever the order of their names; the revision is not part of it. */
export function environmentText({
  variables,
  secrets,
  settings: {smtp_url, max_entries, limits, users, held_lines},
}: Omit<EnvironmentChange, 'revision'>): string {
  const bounds = limits === null ? null : Object.entries(limits).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    sortedPairs(variables),
    sortedPairs(secrets),
    smtp_url,
    max_entries,
    bounds,
    users.map(({name, account}) => [name, account]),
    held_lines,
  ]);
}

function sortedPairs(record: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** A commit's id, or enough of it to be the only one. */
export const commitPattern = /^[0-9a-f]{7,64}$/;

export const createDeploymentSchema = () =>
  z.object({
    digest: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .meta({
        description:
          'SHA-256 over the sorted lines `path NUL sha256 LF`, and `NUL JSON LF` for each of the `mounts`.',
      }),
    commit: z
      .string()
      .regex(commitPattern)
      .nullable()
      .default(null)
      .meta({description: 'Names the version in pinned URLs such as /@<commit>/rollup.'}),
    files: z
      .array(z.object({path: z.string().min(1).max(1024), sha256: z.string().regex(/^[0-9a-f]{64}$/)}))
      .max(10_000),
    mounts: z.array(createScriptMountSchema()).max(10_000).default([]),
    contents: z
      .record(z.string(), z.string())
      .default({})
      .meta({description: 'sha256 to base64 of the bytes; may leave out what the runtime has.'}),
  });
export type Deployment = z.infer<ReturnType<typeof createDeploymentSchema>>;
/** As senders write it: what has a default may be left out. */
export type DeploymentInput = z.input<ReturnType<typeof createDeploymentSchema>>;

export const createRollbackSchema = () =>
  z
    .strictObject({
      commit: z.string().regex(commitPattern).optional(),
      digest: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional(),
    })
    .refine(({commit, digest}) => (commit === undefined) !== (digest === undefined), {
      message: 'Name either a commit or a digest.',
    })
    .transform(({commit, digest = ''}): Rollback => (commit === undefined ? {digest} : {commit}));
/** A kept version. */
export type Rollback = {readonly commit: string} | {readonly digest: string};

/** Counts breaking changes of the control routes; a controller refuses a runtime with a newer one. */
export const CONTROL_API_VERSION = 1;

/** Header by which the gateway names the user whose token came with a request; believed on the controller's socket only. */
export const USER_HEADER = 'x-branchtab-user';

/** Header by which the gateway names the kit that shall answer; believed on the controller's socket only. */
export const KIT_HEADER = 'x-branchtab-kit';

export const kits = ['cron', 'exec', 'pipe', 'notifications', 'sqlite', 'files'] as const;
export type Kit = (typeof kits)[number];

/**
 * Where it relays a sender and all its receivers, the controller moves the bytes between them itself, as the runtime tells
 * it on this channel. The request for the channel names it in `RELAYED_HEADER`.
 */
export const pumpsPath = '/api/v1/control/pumps';
export const pumpsProtocol = 'branchtab-pumps';
/** `<channel>.<number>`: the controller keeps the body of this request back until an order is about it. */
export const RELAYED_HEADER = 'x-branchtab-relayed';
