import test from 'ava';
import {noLimits, previewLimits} from '../../reconciler/branch-limits.ts';
import {
  bindingsOf,
  dataPolicyOf,
  type EnvironmentRule,
  idleLimitsOf,
  isKept,
  limitsOf,
  resolveBindings,
} from '../../reconciler/environments.ts';

const rule = (place: string, given: Partial<EnvironmentRule>): EnvironmentRule => ({
  place,
  appliesTo: () => true,
  keep: false,
  run: null,
  data: null,
  suspend: null,
  drift: null,
  from: null,
  snapshot: null,
  onlyLive: false,
  limits: {},
  idle: {pauseAfterMs: null, removeAfterMs: null},
  variables: {},
  secrets: {},
  ...given,
});
const onlyLive = (_branch: string, live: boolean) => live;

test('of several rules the last one that binds a name has the say, as variable or as secret', (t) => {
  const rules = [
    rule('environments[0]', {variables: {MODE: 'test', KEY: 'none'}}),
    rule('environments[1]', {
      appliesTo: onlyLive,
      variables: {MODE: 'live'},
      secrets: {KEY: {from_env: 'STRIPE'}},
    }),
  ];
  t.deepEqual(bindingsOf(rules, {branch: 'main', live: true}), [
    {name: 'KEY', kind: 'secret', place: 'environments[1]', source: {from_env: 'STRIPE'}},
    {name: 'MODE', kind: 'variable', place: 'environments[1]', value: 'live'},
  ]);
  t.deepEqual(
    bindingsOf(rules, {branch: 'p', live: false}).map(({name, kind, place}) => [name, kind, place]),
    [
      ['KEY', 'variable', 'environments[0]'],
      ['MODE', 'variable', 'environments[0]'],
    ],
  );
});

test('secrets that do not apply are not even read', async (t) => {
  const rules = [rule('live', {appliesTo: onlyLive, secrets: {KEY: {from_file: '/nowhere'}}})];
  const given = await resolveBindings(bindingsOf(rules, {branch: 'p', live: false}), () =>
    Promise.reject(new Error('asked')),
  );
  t.deepEqual(given, {variables: {}, secrets: {}});
});

test('a secret that cannot be read is named with its reason', async (t) => {
  const bindings = bindingsOf([rule('r', {secrets: {KEY: {from_env: 'A'}}})], {branch: 'p', live: false});
  await t.throwsAsync(
    resolveBindings(bindings, () => Promise.reject(new Error('the variable A is missing or empty.'))),
    {code: 'SECRET_UNAVAILABLE', message: /secret KEY .*variable A is missing/},
  );
});

test('a secret too short to be masked is refused without being shown', async (t) => {
  const bindings = bindingsOf([rule('r', {secrets: {KEY: {from_env: 'A'}}})], {branch: 'p', live: false});
  const error = await t.throwsAsync(
    resolveBindings(bindings, async () => 'zq9x'),
    {code: 'SECRET_UNAVAILABLE', message: /fewer than 6/},
  );
  t.notRegex(error?.message ?? '', /zq9x/);
});

test('previews are bounded by default, and rules change single numbers', (t) => {
  const rules = [
    rule('a', {limits: {cpus: 2, runTimeMs: null}}),
    rule('b', {appliesTo: (branch) => branch === 'big', limits: {cpus: 4}}),
  ];
  t.deepEqual(limitsOf(rules, {branch: 'p', live: false}), {
    enforced: true,
    limits: {...previewLimits, cpus: 2, runTimeMs: null},
  });
  t.is(limitsOf(rules, {branch: 'big', live: false}).limits.cpus, 4);
  t.deepEqual(limitsOf([], {branch: 'p', live: false}), {enforced: true, limits: previewLimits});
});

test('live is bounded by a rule of its own, and by no rule for others', (t) => {
  const all = rule('a', {limits: {runsPerDay: 1}});
  t.deepEqual(limitsOf([all], {branch: 'main', live: true}), {
    enforced: false,
    limits: {...previewLimits, runsPerDay: 1},
  });
  const own = rule('b', {appliesTo: onlyLive, onlyLive: true, limits: {memoryBytes: 2 ** 30}});
  t.deepEqual(limitsOf([all, own], {branch: 'main', live: true}), {
    enforced: true,
    limits: {...noLimits, memoryBytes: 2 ** 30},
  });
});

test('a new preview begins empty unless a rule says otherwise; live always does', (t) => {
  const rules = [
    rule('a', {data: 'copy'}),
    rule('b', {data: {seed: 'seed.sh'}, appliesTo: (branch) => branch === 's'}),
  ];
  t.is(dataPolicyOf([], {branch: 'p', live: false}), 'empty');
  t.is(dataPolicyOf(rules, {branch: 'p', live: false}), 'copy');
  t.deepEqual(dataPolicyOf(rules, {branch: 's', live: false}), {seed: 'seed.sh'});
  t.is(dataPolicyOf(rules, {branch: 's', live: true}), 'empty');
});

test('of several idle limits the last one that says something counts, each for itself', (t) => {
  const rules = [
    rule('environments[0]', {idle: {pauseAfterMs: 14, removeAfterMs: 28}}),
    rule('environments[1]', {idle: {pauseAfterMs: 7, removeAfterMs: null}}),
    rule('environments[2]', {
      appliesTo: (branch) => branch === 'long',
      idle: {pauseAfterMs: 0, removeAfterMs: 0},
    }),
  ];
  t.deepEqual(idleLimitsOf(rules, {branch: 'p', live: false}), {pauseAfterMs: 7, removeAfterMs: 28});
  t.deepEqual(idleLimitsOf(rules, {branch: 'long', live: false}), {pauseAfterMs: null, removeAfterMs: null});
});

test('live and kept branches have no idle limits', (t) => {
  const rules = [
    rule('environments[0]', {idle: {pauseAfterMs: 14, removeAfterMs: 28}}),
    rule('environments[1]', {appliesTo: (branch) => branch === 'staging', keep: true}),
  ];
  const never = {pauseAfterMs: null, removeAfterMs: null};
  t.deepEqual(idleLimitsOf(rules, {branch: 'main', live: true}), never);
  t.deepEqual(idleLimitsOf(rules, {branch: 'staging', live: false}), never);
  t.true(isKept(rules, {branch: 'main', live: true}));
  t.true(isKept(rules, {branch: 'staging', live: false}));
  t.false(isKept(rules, {branch: 'p', live: false}));
});
