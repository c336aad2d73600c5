import test from 'ava';
import type {Desired} from '../../reconciler/desired.ts';
import type {Observation} from '../../reconciler/observation.ts';
import {hasDrifted, type PlanPolicy, planBranch} from '../../reconciler/plan.ts';
import {plainSettings} from '../../schemas/control.ts';
import {containerWith, recordWith, runtimeWith} from '../helpers/branch-fixtures.ts';

const nowMs = Date.parse('2026-01-02T00:00:00Z');
const policy: PlanPolicy = {undoWindowMs: 86_400_000, drift: 'revert', leaseMs: null, suspended: false};
const digests = {environment: 'environment-a', deployment: 'deployment-a'};
const served: Desired = {
  kind: 'served',
  revision: 'a'.repeat(40),
  rootTree: 'tree-a',
  variables: {},
  secrets: {},
  settings: plainSettings,
  resources: {cpus: null, memoryBytes: null},
  crontabs: [{file: '.hoody/crontab', user: 'root', text: '', sha256: 'text-a'}],
  scripts: [],
  mounts: [],
};
const invalid: Desired = {kind: 'invalid', revision: 'b'.repeat(40), issues: []};
const gone = (proven: boolean): Desired => ({kind: 'absent', reason: 'branch_deleted', proven});

const plans = test.macro(
  (
    t,
    {
      record = {},
      container = {},
      runtime = {},
      desired = served,
      policyChanges = {},
      pending = {data: false, entries: false},
      expect,
    }: {
      record?: Parameters<typeof recordWith>[0];
      container?: Parameters<typeof containerWith>[0] | null;
      runtime?: Parameters<typeof runtimeWith>[0] | null;
      desired?: Desired;
      policyChanges?: Partial<PlanPolicy>;
      pending?: Observation['pending'];
      expect: string[];
    },
  ) => {
    const observation: Observation = {
      record: recordWith(record),
      ref: {kind: 'missing', proven: false, cause: 'branch_deleted'},
      container: container === null ? null : containerWith(container),
      pending,
      runtime: runtime === null || container === null ? null : runtimeWith(runtime),
    };
    const plan = planBranch(observation, desired, digests, {...policy, ...policyChanges}, nowMs);
    t.deepEqual(
      plan.map(({kind, reason}) => `${kind} ${reason}`),
      expect,
    );
  },
);

test('nothing to do when in sync', plans, {expect: []});

test('a new container is filled before its crontab is there, and gets its entries after', plans, {
  pending: {data: true, entries: true},
  record: {applied: null},
  runtime: {schedule: {state: 'held', reason: null}, crontabs: {}},
  expect: [
    'fill_data data_policy',
    'put_crontab crontab_differs',
    'restore_entries container_gone',
    'release_schedule applied',
  ],
});

test('data are put back before anything else is done to the container', plans, {
  record: {restore: {backup: '20261121T020000000Z'}},
  expect: ['restore_data asked_for'],
});

test('data of a live branch that git has lost can be put back too', plans, {
  record: {live: true, restore: {backup: '20261121T020000000Z'}},
  desired: {kind: 'absent', reason: 'branch_deleted', proven: true},
  expect: ['restore_data asked_for'],
});

test('a new branch gets a held container that is filled before it is released', plans, {
  record: {applied: null, container_id: null},
  container: null,
  expect: [
    'create_container branch_new',
    'start_container branch_new',
    'put_environment environment_differs',
    'sync_workspace tree_differs',
    'deploy_scripts scripts_differ',
    'put_crontab crontab_differs',
    'release_schedule applied',
  ],
});

test('a new branch whose files are invalid gets nothing', plans, {
  record: {applied: null},
  container: null,
  desired: invalid,
  expect: [],
});

test('invalid files leave the old schedule running', plans, {desired: invalid, expect: []});

test('invalid files of a branch whose container is gone get nothing', plans, {
  desired: invalid,
  container: null,
  policyChanges: {leaseMs: 1000},
  expect: [],
});

test('invalid files do not keep a stopped container from its old schedule', plans, {
  desired: invalid,
  container: {state: 'stopped'},
  runtime: null,
  expect: ['start_container not_running', 'release_schedule applied'],
});

test('S34: a new commit changes environment, files and crontab, in that order', plans, {
  desired: {
    ...served,
    revision: 'b'.repeat(40),
    rootTree: 'tree-b',
    crontabs: [{file: '.hoody/crontab', user: 'root', text: 'x', sha256: 'text-b'}],
  },
  runtime: {environment: {revision: null, digest: 'environment-old'}},
  expect: [
    'put_environment environment_differs',
    'sync_workspace tree_differs',
    'put_crontab crontab_differs',
  ],
});

test('a crontab changed by hand is put back', plans, {
  runtime: {crontabs: {root: {raw_etag: '"hand-made"', jobs: 2, managed: 0}}},
  expect: ['put_crontab drift'],
});

test('a crontab changed by hand is left where policy says report', plans, {
  runtime: {crontabs: {root: {raw_etag: '"hand-made"', jobs: 2, managed: 0}}},
  policyChanges: {drift: 'report'},
  expect: [],
});

test('a script written by hand is put back', plans, {
  runtime: {deployment: {digest: 'hand-made'}},
  expect: ['deploy_scripts drift'],
});

test('a script written by hand is left where policy says report', plans, {
  runtime: {deployment: {digest: 'hand-made', commit: null}},
  policyChanges: {drift: 'report'},
  expect: [],
});

test('the same scripts under another commit get its name, for pinned URLs', plans, {
  runtime: {deployment: {digest: 'deployment-a', commit: 'c'.repeat(40)}},
  expect: ['deploy_scripts commit_differs'],
});

test('scripts that carry their commit are left alone', plans, {
  runtime: {deployment: {digest: 'deployment-a', commit: 'a'.repeat(40)}},
  expect: [],
});

test('the crontab of a user whose file is gone is emptied', plans, {
  record: {
    applied: {
      revision: 'a'.repeat(40),
      root_tree: 'tree-a',
      environment: 'environment-a',
      deployment: 'deployment-a',
      crontabs: {
        root: {sha256: 'text-a', raw_etag: '"raw-a"'},
        alice: {sha256: 'text-c', raw_etag: '"raw-c"'},
      },
    },
  },
  runtime: {
    crontabs: {
      root: {raw_etag: '"raw-a"', jobs: 1, managed: 0},
      alice: {raw_etag: '"raw-c"', jobs: 1, managed: 0},
    },
  },
  expect: ['put_crontab crontab_removed'],
});

test('a runtime that died is started again', plans, {
  container: {state: 'failed'},
  runtime: null,
  expect: [
    'start_container runtime_died',
    'put_environment environment_differs',
    'sync_workspace tree_differs',
    'deploy_scripts scripts_differ',
    'put_crontab crontab_differs',
    'release_schedule applied',
  ],
});

test('a branch that is missing once is paused, not removed', plans, {
  desired: gone(false),
  expect: ['pause_schedule branch_missing'],
});

test('a missing branch is paused once', plans, {
  desired: gone(false),
  runtime: {schedule: {state: 'paused', reason: 'branch_missing'}},
  expect: [],
});

test('a branch that comes back is resumed', plans, {
  runtime: {schedule: {state: 'paused', reason: 'branch_missing'}},
  expect: ['release_schedule branch_back'],
});

test('a pause that a person made survives a push', plans, {
  runtime: {schedule: {state: 'paused', reason: 'maintenance'}},
  expect: [],
});

const idlePause = {reason: 'idle', since: '2026-01-01T00:00:00.000Z'} as const;
const lease = {duration_ms: 1000, expires_at: '2026-01-02T00:00:01.000Z', expired: false};

test('a preview that nobody pushes is paused', plans, {
  record: {pause: idlePause},
  expect: ['pause_schedule idle'],
});

test('a preview that is paused as idle stays so', plans, {
  record: {pause: idlePause},
  runtime: {schedule: {state: 'paused', reason: 'idle'}},
  expect: [],
});

test('a preview is paused as idle though its files are invalid', plans, {
  record: {pause: idlePause},
  desired: invalid,
  expect: ['pause_schedule idle'],
});

test('a pause that a person made stays when the preview is idle too', plans, {
  record: {pause: idlePause},
  runtime: {schedule: {state: 'paused', reason: 'maintenance'}},
  expect: [],
});

test('a preview that is pushed again runs', plans, {
  runtime: {schedule: {state: 'paused', reason: 'idle'}},
  expect: ['release_schedule branch_back'],
});

test('a preview that nobody pushes for too long goes to the trash', plans, {
  desired: {kind: 'absent', reason: 'branch_idle', proven: true},
  expect: ['trash_container branch_idle'],
});

test('a preview that went as idle is remembered, or it would come back as a new branch', plans, {
  desired: {kind: 'absent', reason: 'branch_idle', proven: true},
  policyChanges: {undoWindowMs: 0},
  expect: ['remove_container branch_idle'],
});

test('nothing is left to do for a preview that went as idle', plans, {
  desired: {kind: 'absent', reason: 'branch_idle', proven: true},
  container: null,
  expect: [],
});

test('a preview gets its lease before its schedule is released', plans, {
  policyChanges: {leaseMs: 1000},
  runtime: {schedule: {state: 'held', reason: null}, lease: null},
  expect: ['set_lease lease_missing', 'release_schedule applied'],
});

test('a lease that ran out is renewed', plans, {
  policyChanges: {leaseMs: 1000},
  runtime: {lease: {...lease, expired: true}},
  expect: ['set_lease lease_expired'],
});

test('a lease that ran out is renewed though the files are invalid', plans, {
  policyChanges: {leaseMs: 1000},
  desired: invalid,
  runtime: {lease: {...lease, expired: true}},
  expect: ['set_lease lease_expired'],
});

test('a lease of another length is replaced', plans, {
  policyChanges: {leaseMs: 2000},
  runtime: {lease},
  expect: ['set_lease lease_differs'],
});

test('a branch that became live or kept loses its lease', plans, {
  runtime: {lease},
  expect: ['set_lease lease_not_needed'],
});

test('a lease as it should be is left alone', plans, {
  policyChanges: {leaseMs: 1000},
  runtime: {lease},
  expect: [],
});

test('a runtime that knows no leases is asked for none', plans, {
  policyChanges: {leaseMs: 1000},
  expect: [],
});

test('S33: a branch that is gone for certain goes to the trash', plans, {
  desired: gone(true),
  expect: ['trash_container branch_deleted'],
});

test('S32: without an undo window the container is removed at once', plans, {
  desired: gone(true),
  policyChanges: {undoWindowMs: 0},
  expect: ['remove_container branch_deleted', 'forget_branch branch_deleted'],
});

test('a container stays in the trash until the undo window is over', plans, {
  desired: gone(true),
  record: {trashed_at: '2026-01-01T00:00:01.000Z'},
  container: {state: 'stopped'},
  runtime: null,
  expect: [],
});

test('a container leaves the trash when the undo window is over', plans, {
  desired: gone(true),
  record: {trashed_at: '2026-01-01T00:00:00.000Z'},
  container: {state: 'stopped'},
  runtime: null,
  expect: ['remove_container undo_window_over', 'forget_branch undo_window_over'],
});

test('a branch that is pushed again takes its container out of the trash', plans, {
  record: {trashed_at: '2026-01-01T12:00:00.000Z'},
  container: {state: 'stopped'},
  runtime: null,
  expect: [
    'restore_container branch_back',
    'start_container not_running',
    'put_environment environment_differs',
    'sync_workspace tree_differs',
    'deploy_scripts scripts_differ',
    'put_crontab crontab_differs',
    'release_schedule applied',
  ],
});

test('the live branch is never removed, whatever git says', plans, {
  desired: gone(true),
  record: {live: true},
  expect: [],
});

for (const reason of ['branch_deleted', 'hoody_removed'] as const) {
  test(`a runtime that dies is started again for a live branch with ${reason}`, plans, {
    desired: {kind: 'absent', reason, proven: true},
    record: {live: true},
    container: {state: 'failed'},
    runtime: null,
    expect: ['start_container runtime_died'],
  });
}

test('the live branch without .hoody keeps what it runs', plans, {
  desired: {kind: 'absent', reason: 'hoody_removed', proven: true},
  record: {live: true},
  expect: [],
});

test('a preview that removes .hoody goes to the trash', plans, {
  desired: {kind: 'absent', reason: 'hoody_removed', proven: true},
  expect: ['trash_container hoody_removed'],
});

test('a restored container without its branch is paused and kept', plans, {
  desired: gone(true),
  record: {restored: true},
  expect: ['pause_schedule restored_without_branch'],
});

test('a record without a container is forgotten once its branch is gone for certain', plans, {
  desired: gone(true),
  container: null,
  expect: ['forget_branch branch_deleted'],
});

for (const {what, runtime} of [
  {what: 'the crontab', runtime: {crontabs: {root: {raw_etag: '"hand-made"', jobs: 1, managed: 0}}}},
  {what: 'the scripts', runtime: {deployment: {digest: 'hand-made'}}},
  {what: 'the files', runtime: {workspace: {tree: 'older'}}},
  {what: 'the environment', runtime: {environment: {revision: null, digest: 'older'}}},
]) {
  test(`a change of ${what} is drift`, (t) => {
    t.false(hasDrifted(recordWith(), runtimeWith()));
    t.true(hasDrifted(recordWith(), runtimeWith(runtime)));
  });
}

test('entries made by hand are no drift', (t) => {
  t.false(
    hasDrifted(recordWith(), runtimeWith({crontabs: {root: {raw_etag: '"raw-a"', jobs: 3, managed: 2}}})),
  );
});
