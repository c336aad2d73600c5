import test from 'ava';
import fc from 'fast-check';
import {noLimits, previewLimits} from '../../reconciler/branch-limits.ts';
import {type BranchPolicy, tightened} from '../../reconciler/branch-settings.ts';
import {parseBranchSettings} from '../../schemas/branch-settings.ts';

const operator: BranchPolicy = {
  limits: {limits: previewLimits, enforced: true},
  run: 'changed',
  idle: {pauseAfterMs: null, removeAfterMs: 14 * 86_400_000},
};
const free: BranchPolicy = {
  limits: {limits: previewLimits, enforced: false},
  run: 'all',
  idle: {pauseAfterMs: null, removeAfterMs: null},
};
const preview = {live: false, kept: false};
const live = {live: true, kept: true};

function fileOf(text: string) {
  const {value, positionOf, issues} = parseBranchSettings(`version: 1\n${text}`);
  if (value === null) throw new Error(JSON.stringify(issues));
  return {settings: value, positionOf};
}

test('the tighter of the two holds, and says so', (t) => {
  const file = fileOf(
    'previews: {run: none, limits: {run_time: 1m, memory: 512MB}, idle: {pause_after: 2d, remove_after: 4d}}\n',
  );
  const {policy, effects, issues} = tightened(operator, file, preview);
  t.deepEqual(issues, []);
  t.deepEqual(policy, {
    limits: {limits: {...previewLimits, runTimeMs: 60_000}, enforced: true},
    run: 'none',
    idle: {pauseAfterMs: 2 * 86_400_000, removeAfterMs: 4 * 86_400_000},
  });
  t.deepEqual(effects, [
    'previews.limits.run_time is 1m (the operator allows 10m)',
    'previews.run is none (the operator allows changed)',
    'previews.idle.pause_after is 2d (the operator allows any)',
    'previews.idle.remove_after is 4d (the operator allows 14d)',
  ]);
});

test('what would widen is refused with its line, and changes nothing', (t) => {
  const file = fileOf(
    'previews:\n  run: changed\n  limits:\n    memory: 1GB\n    overlap: forbid\n  idle: {remove_after: 28d}\n',
  );
  const none = {...operator, run: 'none'} as const;
  const {policy, issues} = tightened(none, file, preview);
  t.deepEqual(policy, none);
  t.deepEqual(
    issues.map(({file, line, code}) => ({file, line, code})),
    [5, 3, 7].map((line) => ({file: '.hoody/settings.yaml', line, code: 'settings_widen'})),
  );
  t.regex(issues[0]?.message ?? '', /previews\.limits\.memory is 1 GB, and the operator allows 512 MB/);
});

test('each part holds for its kind of branch alone', (t) => {
  const file = fileOf(
    'live: {limits: {memory: 4GB}}\npreviews: {run: none, limits: {cpus: 0.1}, idle: {remove_after: 1d}}\n',
  );
  const asLive = tightened(free, file, live);
  t.deepEqual(asLive.issues, []);
  // What is only told of live is replaced by what it asks for.
  t.deepEqual(asLive.policy, {
    ...free,
    limits: {limits: {...noLimits, memoryBytes: 4 * 1024 ** 3}, enforced: true},
  });
  t.deepEqual(tightened(operator, null, preview).policy, operator);
  const kept = tightened(operator, file, {live: false, kept: true});
  t.deepEqual(kept.policy.idle, operator.idle);
});

test('whatever a branch says, nothing is wider than the operator has it, and twice is as once', (t) => {
  const optional = (values: readonly string[]) => fc.option(fc.constantFrom(...values), {nil: null});
  const times = ['1m', '9m', '10m', '11m', '1h', '2d', '30d'];
  const settings = fc.record({
    cpus: optional(['0.1', '0.5', '4']),
    memory: optional(['1MB', '512MB', '2GB']),
    disk: optional(['1B', '1GB', '9TB']),
    runs_per_day: optional(['0', '5000', '6000']),
    run_time: optional(times),
    longest_run_time: optional(times),
    overlap: optional(['forbid', 'never']),
  });
  const policies: fc.Arbitrary<BranchPolicy> = fc.record({
    limits: fc.constantFrom(
      {limits: previewLimits, enforced: true},
      {limits: previewLimits, enforced: false},
      {limits: noLimits, enforced: true},
    ),
    run: fc.constantFrom('all', 'changed', 'none'),
    idle: fc.constantFrom(operator.idle, free.idle),
  });
  const order = {all: 0, changed: 1, none: 2, allow: 0, forbid: 1, never: 2};
  fc.assert(
    fc.property(
      policies,
      settings,
      optional(['changed', 'none']),
      optional(['1m', '14d', '15d']),
      (policy, own, run, removeAfter) => {
        const lines = Object.entries(own).flatMap(([name, value]) =>
          value === null ? [] : [`${name}: ${value}`],
        );
        const file = fileOf(
          `previews: {limits: {${lines.join(', ')}}${run === null ? '' : `, run: ${run}`}${removeAfter === null ? '' : `, idle: {remove_after: ${removeAfter}}`}}\n`,
        );
        const once = tightened(policy, file, preview).policy;
        const bounds = policy.limits.enforced ? policy.limits.limits : noLimits;
        const after = once.limits.enforced ? once.limits.limits : noLimits;
        for (const name of ['cpus', 'memoryBytes', 'diskBytes', 'runsPerDay', 'runTimeMs'] as const)
          t.true((after[name] ?? Infinity) <= (bounds[name] ?? Infinity), name);
        t.true(order[after.overlap] >= order[bounds.overlap]);
        t.true(order[once.run] >= order[policy.run]);
        t.true((once.idle.removeAfterMs ?? Infinity) <= (policy.idle.removeAfterMs ?? Infinity));
        t.deepEqual(tightened(once, file, preview).policy, once);
      },
    ),
    {numRuns: 200},
  );
});
