import * as z from 'zod';
import {conditionSchema, reconciliationSchema} from '../schemas/branch.ts';
import {lastRunSchema, nextRunSchema} from '../schemas/control-state.ts';
import {actionSchema} from '../schemas/plan.ts';
import {suspensionSchema} from '../schemas/suspension.ts';
import {type BranchIdentity, branchKey} from './branch-key.ts';

export const rollbackSchema = z.object({
  to: z.string(),
  bad: z.string(),
  tip: z.string(),
  since: z.string(),
  reason: z.string().nullable(),
});
export type RollbackRecord = z.infer<typeof rollbackSchema>;

/** What the controller remembers of a branch; one durable document each. Times are RFC 3339 UTC. */
export const branchRecordSchema = z.object({
  schema_version: z.literal(1),
  key: z.string().regex(/^[a-z0-9-]+$/),
  repository: z.string(),
  path: z.string(),
  branch: z.string(),
  live: z.boolean(),
  /** Newest commit seen, and when it was seen first. */
  revision: z.string().nullable(),
  seen_at: z.string().nullable(),
  /** What the container was last brought to. */
  applied: z
    .object({
      revision: z.string(),
      root_tree: z.string(),
      /** Digests as the runtime reports them; null before the first complete apply. */
      environment: z.string().nullable(),
      deployment: z.string().nullable(),
      /** By user: digest of the branch's text and the raw tag that the runtime answered. */
      crontabs: z.record(z.string(), z.object({sha256: z.string(), raw_etag: z.string()})),
    })
    .nullable(),
  /** What the branch's own settings tighten, at the applied commit. */
  tightened: z
    .object({
      run: z.enum(['all', 'changed', 'none']),
      idle: z.object({pauseAfterMs: z.number().nullable(), removeAfterMs: z.number().nullable()}),
      effects: z.array(z.string()),
    })
    .nullable()
    .default(null),
  container_id: z.string().nullable(),
  conditions: z.array(conditionSchema),
  plan: z.array(actionSchema),
  failures: z.int().min(0),
  /** Set from the first listing without the branch until it is back or gone for good; `held` by the breaker. */
  missing: z
    .object({
      since: z.string(),
      proven: z.boolean(),
      held: z.boolean().default(false),
      cause: z.enum([
        'branch_deleted',
        'branch_excluded',
        'branch_merged',
        'pull_request_closed',
        'path_unchanged',
      ]),
    })
    .nullable(),
  /** It had commits once that the live branch lacks. */
  ahead: z.boolean().default(false),
  /** The revision whose work is in the live branch. */
  merged: z.object({revision: z.string(), into: z.string(), commit: z.string()}).nullable().default(null),
  /** The revision whose pull request was closed while no other one of the branch was open. */
  closed: z.object({revision: z.string(), pull_request: z.int()}).nullable().default(null),
  trashed_at: z.string().nullable(),
  /**
   * No job of it runs: nobody has pushed it for long, or it was there when the repository was met and nobody has
   * asked for it yet, or it was pushed to be skipped while nothing of it ran. A push or a release ends it.
   */
  pause: z
    .object({reason: z.enum(['first_contact', 'idle', 'skipped']), since: z.string()})
    .nullable()
    .default(null),
  /**
   * A person wants it to run an older commit. It holds while the newest commit of the branch is `tip`: the bad one, or
   * one before that.
   */
  rollback: rollbackSchema.nullable().default(null),
  /** A person lets no job of it run for a while; the configuration may do so too. */
  suspension: suspensionSchema.nullable().default(null),
  /** What people change in the container by hand stays until then. */
  keep: z
    .object({since: z.string(), until: z.string(), reason: z.string().nullable()})
    .nullable()
    .default(null),
  /** When a person released it last; counts as a push does. */
  released_at: z.string().nullable().default(null),
  /** Jobs that run although the policy holds them. */
  released: z.object({all: z.boolean(), jobs: z.array(z.string())}).default({all: false, jobs: []}),
  /** A person wants its data back: of this backup, or with null what is left of them. */
  restore: z.object({backup: z.string().nullable()}).nullable().default(null),
  /** A person wants it gone although it may be live. */
  forget_requested: z.boolean().default(false),
  /** A person took the container out of the trash while git still lacks the branch. */
  restored: z.boolean(),
  active_ms: z.number().nullable(),
  handled_request: z.string().nullable(),
  next_run: nextRunSchema.nullable(),
  last_run: lastRunSchema.nullable(),
  history: z.array(reconciliationSchema),
});

export type BranchRecord = z.infer<typeof branchRecordSchema>;

export function newBranchRecord(identity: BranchIdentity & {live: boolean; key?: string}): BranchRecord {
  return {
    schema_version: 1,
    key: identity.key ?? branchKey(identity),
    repository: identity.repository,
    path: identity.path,
    branch: identity.branch,
    live: identity.live,
    revision: null,
    seen_at: null,
    applied: null,
    tightened: null,
    container_id: null,
    conditions: [],
    plan: [],
    failures: 0,
    missing: null,
    ahead: false,
    merged: null,
    closed: null,
    trashed_at: null,
    pause: null,
    rollback: null,
    keep: null,
    suspension: null,
    released_at: null,
    restored: false,
    released: {all: false, jobs: []},
    restore: null,
    forget_requested: false,
    active_ms: null,
    handled_request: null,
    next_run: null,
    last_run: null,
    history: [],
  };
}
