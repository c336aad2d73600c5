import test from 'ava';
import fc from 'fast-check';
import type {Desired} from '../../reconciler/desired.ts';
import type {Observation} from '../../reconciler/observation.ts';
import {type PlanPolicy, pauseReasons, planBranch} from '../../reconciler/plan.ts';
import {plainSettings} from '../../schemas/control.ts';
import type {Action} from '../../schemas/plan.ts';
import {containerWith, recordWith, runtimeWith} from '../helpers/branch-fixtures.ts';

const nowMs = Date.parse('2026-01-02T00:00:00Z');
const lifecycle: ReadonlySet<Action['kind']> = new Set([
  'create_container',
  'restore_container',
  'limit_container',
  'start_container',
  'restore_data',
]);

type Served = Extract<Desired, {kind: 'served'}>;

interface World {
  readonly observation: Observation;
  readonly desired: Desired;
  readonly policy: PlanPolicy;
}

/** The world after a step, as a runtime and a provider that do what they are told leave it. */
function taken({observation, desired}: World, action: Action): Observation {
  const {record, container, runtime, pending} = observation;
  const wanted = desired as Served;
  const withRuntime = (changes: Parameters<typeof runtimeWith>[0]): Observation => ({
    ...observation,
    runtime: runtime === null ? null : {...runtime, ...changes},
  });
  switch (action.kind) {
    case 'create_container':
      return {...observation, container: containerWith({state: 'stopped'}), runtime: null};
    case 'restore_container':
      return {...observation, record: {...record, trashed_at: null}};
    case 'limit_container':
      return {...observation, container: container && {...container, limits: wanted.resources}};
    case 'restore_data':
      return {...observation, record: {...record, restore: null}};
    case 'start_container':
      return {
        ...observation,
        container: container && {...container, state: 'running'},
        runtime: runtimeWith({
          schedule: {state: 'held', reason: null},
          environment: {revision: null, digest: 'none'},
          workspace: {tree: null},
          deployment: {digest: null, commit: null},
          crontabs: {},
          lease: null,
        }),
      };
    case 'put_environment':
      return withRuntime({
        environment: {revision: wanted.revision, digest: `environment of ${wanted.revision}`},
      });
    case 'sync_workspace':
      return withRuntime({workspace: {tree: action.to}});
    case 'deploy_scripts':
      return withRuntime({deployment: {digest: action.digest, commit: wanted.revision}});
    case 'fill_data':
      return {...observation, pending: {...pending, data: false}};
    case 'restore_entries':
      return {...observation, pending: {...pending, entries: false}};
    case 'put_crontab': {
      const crontab = wanted.crontabs.find(({user}) => user === action.user);
      const tag = `"raw ${crontab?.sha256 ?? 'empty'}"`;
      const {[action.user]: _before, ...others} = record.applied?.crontabs ?? {};
      const crontabs = {...others, ...(crontab && {[action.user]: {sha256: crontab.sha256, raw_etag: tag}})};
      const applied = {
        ...(record.applied ?? {
          revision: wanted.revision,
          root_tree: '',
          environment: null,
          deployment: null,
        }),
        crontabs,
      };
      const after = withRuntime({
        crontabs: {...runtime?.crontabs, [action.user]: {raw_etag: tag, jobs: 1, managed: 0}},
      });
      return {...after, record: {...record, applied}};
    }
    case 'set_lease':
      return withRuntime({
        lease:
          action.duration_ms === null
            ? null
            : {duration_ms: action.duration_ms, expires_at: '2026-02-01T00:00:00Z', expired: false},
      });
    case 'release_schedule':
      return withRuntime({schedule: {state: 'running', reason: null}});
    case 'pause_schedule':
      return withRuntime({schedule: {state: 'paused', reason: action.reason}});
    case 'trash_container':
      return {
        ...observation,
        record: {...record, trashed_at: new Date(nowMs).toISOString()},
        container: container && {...container, state: 'stopped'},
        runtime: null,
      };
    case 'remove_container':
      return {...observation, record: {...record, trashed_at: null}, container: null, runtime: null};
    case 'forget_branch':
      // The end: nothing is observed of it any more.
      return observation;
    default:
      return action satisfies never;
  }
}

const planOf = ({observation, desired, policy}: World): Action[] => {
  const digests =
    desired.kind === 'served'
      ? {environment: `environment of ${desired.revision}`, deployment: `scripts of ${desired.revision}`}
      : null;
  return planBranch(observation, desired, digests, policy, nowMs);
};

/** As `reconcileBranch` does it: what concerns the container's life first, then another look. */
const stepsOf = (plan: readonly Action[]): readonly Action[] => {
  const first = plan.filter(({kind}) => lifecycle.has(kind));
  return first.length > 0 ? first : plan;
};

const crontab = (user: string) =>
  fc
    .constantFrom('x', 'y')
    .map((text) => ({file: `.hoody/${user}`, user, text: '', sha256: `${user} ${text}`}));
const commits = fc.constantFrom('a'.repeat(40), 'b'.repeat(40));
const served: fc.Arbitrary<Desired> = fc
  .record({
    revision: commits,
    rootTree: fc.constantFrom('tree-a', 'tree-b'),
    cpus: fc.constantFrom(null, 0.5),
    root: crontab('root'),
    alice: fc.option(crontab('alice')),
  })
  .map(({revision, rootTree, cpus, root, alice}) => ({
    kind: 'served',
    revision,
    rootTree,
    variables: {},
    secrets: {},
    settings: plainSettings,
    resources: {cpus, memoryBytes: null},
    crontabs: alice === null ? [root] : [root, alice],
    scripts: [],
    mounts: [],
  }));
const desiredStates: fc.Arbitrary<Desired> = fc.oneof(
  {weight: 3, arbitrary: served},
  fc.constant<Desired>({kind: 'invalid', revision: 'c'.repeat(40), issues: []}),
  fc.record({
    kind: fc.constant('absent' as const),
    reason: fc.constantFrom('branch_deleted', 'branch_merged', 'branch_idle', 'hoody_removed'),
    proven: fc.boolean(),
  }),
);
const lease = fc.option(
  fc.record({
    duration_ms: fc.constantFrom(1000, 2000),
    expires_at: fc.constant('2026-02-01T00:00:00Z'),
    expired: fc.boolean(),
  }),
);
const tag = fc.constantFrom('"raw root x"', '"raw root y"', '"raw by hand"');
const runtimes = fc.record({
  schedule: fc.constantFrom(
    {state: 'held', reason: null} as const,
    {state: 'running', reason: null} as const,
    {state: 'paused', reason: 'by hand'} as const,
    ...Object.values(pauseReasons).map((reason) => ({state: 'paused', reason}) as const),
  ),
  lease,
  tree: fc.option(fc.constantFrom('tree-a', 'tree-b')),
  environment: commits,
  deployment: commits,
  root: tag,
});
const worlds: fc.Arbitrary<World> = fc
  .record({
    desired: desiredStates,
    policy: fc.record({
      undoWindowMs: fc.constantFrom(0, 86_400_000),
      drift: fc.constantFrom('revert', 'report'),
      leaseMs: fc.constantFrom(null, 1000),
      suspended: fc.boolean(),
    }),
    record: fc.record({
      live: fc.boolean(),
      applied: fc.option(
        fc.record({
          revision: commits,
          root_tree: fc.constantFrom('tree-a', 'tree-b'),
          environment: fc.constantFrom(null, 'environment of x'),
          deployment: commits.map((commit) => `scripts of ${commit}`),
          crontabs: fc
            .tuple(fc.constantFrom('root x', 'root y'), tag)
            .map(([sha256, raw_etag]) => ({root: {sha256, raw_etag}})),
        }),
      ),
      trashed_at: fc.constantFrom(null, '2025-12-01T00:00:00.000Z', '2026-01-01T23:00:00.000Z'),
      restore: fc.constantFrom(null, {backup: null}),
      restored: fc.boolean(),
      forget_requested: fc.boolean(),
      pause: fc.constantFrom(null, {reason: 'idle' as const, since: '2026-01-01T00:00:00.000Z'}),
    }),
    container: fc.option(fc.constantFrom('running', 'stopped', 'failed')),
    runtime: runtimes,
    pending: fc.record({data: fc.boolean(), entries: fc.boolean()}),
  })
  .map(({desired, policy, record, container, runtime, pending}) => ({
    desired,
    policy,
    observation: {
      record: recordWith(record),
      ref: {kind: 'missing', proven: false, cause: 'branch_deleted'},
      container: container === null ? null : containerWith({state: container}),
      pending,
      runtime:
        container === 'running'
          ? runtimeWith({
              schedule: runtime.schedule,
              lease: runtime.lease,
              workspace: {tree: runtime.tree},
              environment: {revision: null, digest: `environment of ${runtime.environment}`},
              deployment: {digest: `scripts of ${runtime.deployment}`, commit: runtime.deployment},
              crontabs: {root: {raw_etag: runtime.root, jobs: 1, managed: 0}},
            })
          : null,
    },
  }));

test('once a plan is taken, the next one is empty', (t) => {
  fc.assert(
    fc.property(worlds, (start) => {
      let world = start;
      for (let round = 1; ; round += 1) {
        const plan = planOf(world);
        if (plan.length === 0) return;
        t.true(round <= 3, JSON.stringify(plan));
        for (const action of stepsOf(plan)) {
          world = {...world, observation: taken(world, action)};
          if (action.kind === 'forget_branch') return;
        }
      }
    }),
    {numRuns: 2000},
  );
});

test('a plan made in the middle of another is the rest of it', (t) => {
  const words = (plan: readonly Action[]) => plan.map(({kind, reason}) => `${kind} ${reason}`);
  fc.assert(
    fc.property(worlds, (start) => {
      const plan = planOf(start);
      t.deepEqual(planOf(start), plan);
      const steps = stepsOf(plan);
      if (steps !== plan) return;
      let world = start;
      for (const [index, action] of steps.entries()) {
        world = {...world, observation: taken(world, action)};
        if (action.kind === 'forget_branch' || action.kind === 'remove_container') return;
        t.deepEqual(words(planOf(world)), words(plan.slice(index + 1)));
      }
    }),
    {numRuns: 2000},
  );
});
