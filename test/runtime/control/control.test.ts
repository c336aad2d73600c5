import {mkdtempSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openControl} from '../../../runtime/control/control.ts';
import type {Clock} from '../../../runtime/platform/clock.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {environmentText, plainSettings} from '../../../schemas/control.ts';
import {AppError} from '../../../schemas/errors.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';

function setup(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), 'bt-control-'));
  t.teardown(() => rmSync(directory, {recursive: true, force: true}));
  const time = new FakeClock();
  let stepMs = 0;
  const clock: Clock = {now: () => time.now() + stepMs, sleep: (ms, how) => time.sleep(ms, how)};
  return {
    directory,
    clock,
    pass: (ms: number) => time.advance(ms),
    /** Sets the wall clock; how long sleeps take stays as it is. */
    setWallClock(byMs: number) {
      stepMs += byMs;
    },
    open: (initial: 'held' | 'running' = 'held') => openControl({directory, initial, clock, log: silentLog}),
  };
}

const hourMs = 3_600_000;

test('a new container is as its caller says, a known one as it was', async (t) => {
  const {open} = setup(t);
  const control = await open('held');
  t.deepEqual(control.schedule(), {state: 'held', reason: null});
  await control.setSchedule({state: 'paused', reason: 'by hand'});
  t.deepEqual((await open('running')).schedule(), {state: 'paused', reason: 'by hand'});
});

test('variables survive a restart in a file that only its owner reads', async (t) => {
  const {directory, open} = setup(t);
  const environment = {revision: 'abc', variables: {SECRET: 's3cret'}, secrets: {}, settings: plainSettings};
  await (await open()).setEnvironment(environment);
  t.deepEqual((await open()).environment(), environment);
  t.is(statSync(join(directory, 'state.json')).mode & 0o777, 0o600);
});

test('changes at the same time are all kept', async (t) => {
  const {open} = setup(t);
  const control = await open();
  await Promise.all([
    control.setSchedule({state: 'running', reason: null}),
    control.setEnvironment({revision: 'r', variables: {}, secrets: {}, settings: plainSettings}),
  ]);
  const again = await open();
  t.is(again.schedule().state, 'running');
  t.is(again.environment().revision, 'r');
});

test('a change of the schedule is told', async (t) => {
  const {open} = setup(t);
  const control = await open();
  const events: unknown[] = [];
  const unsubscribe = control.on((event) => events.push(event));
  await control.setSchedule({state: 'running', reason: null});
  unsubscribe();
  await control.setSchedule({state: 'paused', reason: null});
  t.deepEqual(events, [{type: 'schedule_changed', state: 'running'}]);
});

test('the digest depends on the variables and not on their order', (t) => {
  const text = (
    variables: Record<string, string>,
    settings = plainSettings,
    secrets: Record<string, string> = {},
  ) => environmentText({variables, secrets, settings});
  t.is(text({A: '1', B: '2'}), text({B: '2', A: '1'}));
  t.not(text({A: '1'}), text({A: '2'}));
  t.not(text({}), text({}, {...plainSettings, smtp_url: 'smtp://mail.example'}));
  t.not(text({}), text({}, {...plainSettings, max_entries: 3}));
  t.not(text({A: '1'}), text({}, plainSettings, {A: '1'}));
});

test('a damaged file is an error that names it', async (t) => {
  const {directory, open} = setup(t);
  writeFileSync(join(directory, 'state.json'), '{"schedule":');
  const error = await t.throwsAsync(open(), {instanceOf: AppError});
  t.is(error?.code, 'STATE_UNREADABLE');
  t.regex(String(error?.message), /state\.json is damaged/);
});

test('a lease that nobody renews keeps the schedule from running until somebody does', async (t) => {
  const {open, pass} = setup(t);
  const control = await open('running');
  const events: unknown[] = [];
  control.on((event) => events.push(event));
  t.is(control.lease(), null);
  await control.setLease({duration_ms: hourMs});
  await pass(hourMs - 1);
  t.is(control.gate(), 'running');
  await control.setLease({duration_ms: hourMs});
  await pass(hourMs - 1);
  t.is(control.gate(), 'running');
  await pass(1);
  t.is(control.gate(), 'lease_expired');
  t.like(control.lease(), {duration_ms: hourMs, expired: true});
  await control.setLease({duration_ms: hourMs});
  t.is(control.gate(), 'running');
  t.deepEqual(events, [
    {type: 'schedule_changed', state: 'paused'},
    {type: 'schedule_changed', state: 'running'},
  ]);
});

test('a container that needs no lease any more runs on', async (t) => {
  const {open, pass} = setup(t);
  const control = await open('running');
  await control.setLease({duration_ms: hourMs});
  await control.setLease({duration_ms: null});
  await pass(2 * hourMs);
  t.is(control.gate(), 'running');
  t.is(control.lease(), null);
});

test('a lease says nothing about a schedule that is held or paused anyway', async (t) => {
  const {open, pass} = setup(t);
  const control = await open('held');
  await control.setLease({duration_ms: hourMs});
  await pass(hourMs);
  t.is(control.gate(), 'held');
  await control.setSchedule({state: 'running', reason: null});
  t.is(control.gate(), 'lease_expired');
});

test('setting the wall clock neither prolongs nor shortens a lease', async (t) => {
  const {open, pass, setWallClock} = setup(t);
  const control = await open('running');
  await control.setLease({duration_ms: hourMs});
  setWallClock(100 * hourMs);
  await pass(hourMs - 1);
  t.is(control.gate(), 'running');
  setWallClock(-200 * hourMs);
  await pass(1);
  t.is(control.gate(), 'lease_expired');
});

test('a runtime that was killed goes on with what is left of its lease', async (t) => {
  const {open, pass} = setup(t);
  await (await open('running')).setLease({duration_ms: hourMs});
  await pass(hourMs - 10);
  const again = await open();
  t.is(again.gate(), 'running');
  await pass(10);
  t.is(again.gate(), 'lease_expired');
  t.is((await open()).gate(), 'lease_expired');
});

test('a clock that was set back while no runtime was there makes no lease longer than it was given', async (t) => {
  const {open, pass, setWallClock} = setup(t);
  await (await open('running')).setLease({duration_ms: hourMs});
  setWallClock(-100 * hourMs);
  const again = await open();
  await pass(hourMs);
  t.is(again.gate(), 'lease_expired');
  // Written in turn, so that the end of the lease is on disk by then.
  await again.setSchedule({state: 'running', reason: null});
  setWallClock(-100 * hourMs);
  t.is((await open()).gate(), 'lease_expired');
});

test('a lease is long over for a runtime that starts after it', async (t) => {
  const {open, pass, setWallClock} = setup(t);
  await (await open('running')).setLease({duration_ms: hourMs});
  setWallClock(2 * hourMs);
  const again = await open();
  await pass(0);
  t.is(again.gate(), 'lease_expired');
});
