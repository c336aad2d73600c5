import {mkdtempSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openControl} from '../../../runtime/control/control.ts';
import {environmentText, plainSettings} from '../../../schemas/control.ts';
import {AppError} from '../../../schemas/errors.ts';

function setup(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), 'bt-control-'));
  t.teardown(() => rmSync(directory, {recursive: true, force: true}));
  return {directory, open: (initial: 'held' | 'running' = 'held') => openControl({directory, initial})};
}

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
