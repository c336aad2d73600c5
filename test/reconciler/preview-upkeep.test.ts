import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createRuntimeClient} from '../../api/runtime-client.ts';
import type {EnvironmentRule} from '../../reconciler/environments.ts';
import {createPreviewUpkeep} from '../../reconciler/preview-upkeep.ts';
import {containerWith, recordWith} from '../helpers/branch-fixtures.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {startRuntime} from '../helpers/runtime-process.ts';

const hourMs = 3_600_000;
const leaseMs = 72 * hourMs;
const {signal} = new AbortController();

const idleRule: EnvironmentRule = {
  place: 'environments[0]',
  appliesTo: () => true,
  keep: false,
  onlyLive: false,
  run: null,
  limits: {},
  data: null,
  suspend: null,
  drift: null,
  from: null,
  snapshot: null,
  idle: {pauseAfterMs: hourMs, removeAfterMs: 2 * hourMs},
  variables: {},
  secrets: {},
};

/** A real runtime, and a controller's side whose clock the test moves. */
async function setup(t: ExecutionContext, rules: readonly EnvironmentRule[] = []) {
  const directory = await mkdtemp(join(tmpdir(), 'bt-lease-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const socketPath = join(directory, 'control.sock');
  await startRuntime(t, ['--control', `unix:${socketPath}`]);
  const client = createRuntimeClient({socketPath});
  const clock = new FakeClock('2026-01-01T00:00:00Z');
  const upkeep = createPreviewUpkeep({
    leaseMs,
    rulesOf: () => rules,
    isBlind: () => false,
    client: () => client,
    clock,
  });
  const tend = async () =>
    upkeep.tend(recordWith(), {container: containerWith(), runtime: await client.state({signal})}, {signal});
  const expiresAt = async () => (await client.state({signal})).lease?.expires_at;
  return {upkeep, client, clock, tend, expiresAt};
}

test('a lease is renewed every hour, and when the clock was set back', async (t) => {
  const {client, clock, tend, expiresAt} = await setup(t);
  t.true(await tend(), 'without a lease the branch must be looked at');
  await client.setLease({duration_ms: leaseMs}, {signal});
  const given = await expiresAt();
  t.false(await tend());
  const first = await expiresAt();
  t.not(first, given, 'who does not know when it was renewed renews it');
  clock.step(hourMs - 1);
  t.false(await tend());
  t.is(await expiresAt(), first);
  clock.step(1);
  await tend();
  const second = await expiresAt();
  t.not(second, first);
  clock.step(-24 * hourMs);
  await tend();
  t.not(await expiresAt(), second);
});

test('a lease that should be another one, or none, is a matter of the plan', async (t) => {
  const {upkeep, client, tend, expiresAt} = await setup(t, [{...idleRule, keep: true}]);
  await client.setLease({duration_ms: leaseMs}, {signal});
  const before = await expiresAt();
  t.is(upkeep.leaseMsOf(recordWith()), null);
  t.true(await tend());
  t.is(await expiresAt(), before);
  const record = recordWith();
  upkeep.pause(record);
  t.is(record.pause, null, 'who is kept is never idle');
});

test('while a repository cannot be read, nobody says that nobody pushed', (t) => {
  const clock = new FakeClock('2026-01-01T00:00:00Z');
  let isBlind = true;
  const upkeep = createPreviewUpkeep({
    leaseMs,
    rulesOf: () => [idleRule],
    isBlind: () => isBlind,
    client: ({controlSocket}) => createRuntimeClient({socketPath: controlSocket}),
    clock,
  });
  const record = recordWith();
  clock.step(10 * hourMs);
  upkeep.pause(record);
  t.is(record.pause, null);
  isBlind = false;
  upkeep.pause(record);
  t.is(record.pause?.reason, 'idle');
  t.not(upkeep.removalMs(record), null);
  isBlind = true;
  t.is(upkeep.removalMs(record), null);
  upkeep.pause(record);
  t.is(record.pause?.reason, 'idle');
  // What has gone stays where it is.
  record.trashed_at = '2026-01-01T12:00:00.000Z';
  t.not(upkeep.removalMs(record), null);
});

test('a runtime refuses a lease that makes no sense', async (t) => {
  const {client} = await setup(t);
  for (const duration_ms of [0, -1, 999, 1.5, Number.MAX_SAFE_INTEGER])
    await t.throwsAsync(client.setLease({duration_ms}, {signal}), undefined, String(duration_ms));
});
