import test from 'ava';
import {nextRunsSchema, replacedCrontabSchema, reportedCrontabSchema} from '../../schemas/cron-api.ts';
import {bodyOf, createCronHttp} from '../helpers/cron-http.ts';

const path = '/users/root/crontab';
const managedId = '6f2c1a80-3b1e-4a70-9d55-0f6f5a2c7e11';

test('S24 S31: a PUT answers what each line means and since when it is active', async (t) => {
  const {putText} = await createCronHttp(t);
  const text = 'CRON_TZ=Europe/Berlin\n0 2 * * * /srv/jobs/rollup.sh --all\n@reboot warm-up\n';
  const report = await bodyOf(putText(path, text), reportedCrontabSchema);
  t.like(report, {user: 'root', crontab: text, unchanged: false, active_at: '2026-05-18T09:00:00.000Z'});
  const [rollup, warmUp] = report.jobs;
  t.like(rollup, {
    line: 2,
    name: 'rollup',
    schedule: '0 2 * * *',
    schedule_human: 'At 02:00 every day',
    timezone: 'Europe/Berlin',
    next: ['2026-05-19T00:00:00.000Z', '2026-05-20T00:00:00.000Z', '2026-05-21T00:00:00.000Z'],
  });
  t.deepEqual(
    rollup?.warnings.map(({code, line, column}) => [code, line, column]),
    [
      ['dst_repeat', 2, 3],
      ['dst_gap', 2, 3],
    ],
  );
  t.like(warmUp, {line: 3, schedule_human: 'Once when the container starts', next: [], warnings: []});
});

test('a PUT says what was added, kept, changed and removed', async (t) => {
  const {putText} = await createCronHttp(t);
  const named = '# branchtab: name=nightly\n';
  const first = await bodyOf(
    putText(path, `0 1 * * * a\n0 2 * * * b\n${named}0 3 * * * c\n`),
    reportedCrontabSchema,
  );
  t.deepEqual(
    first.added.map(({name}) => name),
    ['a', 'b', 'nightly'],
  );
  const second = await bodyOf(
    putText(path, `0 4 * * * d\n${named}30 3 * * * c\n0 2  * * * b\n`),
    reportedCrontabSchema,
  );
  const idOf = (name: string) => first.added.find((entry) => entry.name === name)?.id ?? '';
  t.deepEqual(
    second.added.map(({name}) => name),
    ['d'],
  );
  t.deepEqual(second.kept, [
    {id: idOf('nightly'), name: 'nightly', changed: true},
    {id: idOf('b'), name: 'b', changed: false},
  ]);
  t.deepEqual(second.removed, [{id: idOf('a'), name: 'a'}]);
});

test('a PUT of the same text says so and keeps the time since which it has been active', async (t) => {
  const {putText, clock} = await createCronHttp(t);
  await putText(path, '0 1 * * * a\n');
  await clock.advance(90_000);
  const again = await bodyOf(putText(path, '0 1 * * * a\n'), reportedCrontabSchema);
  t.like(again, {unchanged: true, active_at: '2026-05-18T09:00:00.000Z', added: [], removed: []});
});

test('variables are part of what a job is', async (t) => {
  const {putText} = await createCronHttp(t);
  await putText(path, '0 1 * * * a\n');
  const {kept} = await bodyOf(putText(path, 'A=1\n0 1 * * * a\n'), reportedCrontabSchema);
  t.like(kept[0], {name: 'a', changed: true});
});

test('a dry run answers the same and writes nothing', async (t) => {
  const {putText, text, events, get} = await createCronHttp(t);
  await putText(path, '0 1 * * * a\n');
  const tag = (await get(path)).headers.get('etag') ?? '';
  const before = events.length;
  const dry = await putText(`${path}?dry_run=1`, '0 2 * * * b\n', {'if-match': tag});
  t.is(dry.status, 200);
  t.is(dry.headers.get('etag'), null);
  const report = await bodyOf(dry, reportedCrontabSchema);
  t.like(report, {crontab: '0 2 * * * b\n', active_at: null, unchanged: false});
  t.deepEqual(
    report.added.map(({name}) => name),
    ['b'],
  );
  t.deepEqual(
    report.removed.map(({name}) => name),
    ['a'],
  );
  t.is(await text(), '0 1 * * * a\n');
  t.is(events.length, before);
  const real = await bodyOf(putText(path, '0 2 * * * b\n'), reportedCrontabSchema);
  t.deepEqual({...real, active_at: null}, report);
});

test('a dry run refuses what a PUT would refuse, with every issue', async (t) => {
  const {putText} = await createCronHttp(t);
  const response = await putText(`${path}?dry_run=1`, '* * * *\n60 * * * * x\n');
  t.is(response.status, 400);
  t.like(await response.json(), {code: 'INVALID_CRONTAB', details: {issues: {0: {line: 1}, 1: {line: 2}}}});
  t.is((await putText(`${path}?dry_run=1`, '', {'if-match': '"other"'})).status, 412);
  t.is((await putText(`${path}?dry_run=maybe`, '')).status, 400);
});

test('a dry run keeps managed entries where it is asked to', async (t) => {
  const {putText, sendJson, text} = await createCronHttp(t);
  await sendJson('POST', '/users/root/entries', {schedule: '@daily', command: 'mine'});
  const before = await text();
  const report = await bodyOf(
    putText(`${path}?managed=keep&dry_run`, '0 2 * * * b\n'),
    reportedCrontabSchema,
  );
  t.deepEqual(
    report.kept.map(({changed}) => changed),
    [false],
  );
  t.is(report.crontab, `${before}0 2 * * * b\n`);
  t.is(await text(), before);
});

test('Prefer: return=minimal leaves the report out', async (t) => {
  const {putText} = await createCronHttp(t);
  const response = await putText(path, '0 1 * * * a\n', {prefer: 'wait=10, return=minimal'});
  t.is(response.headers.get('preference-applied'), 'return=minimal');
  t.deepEqual(await response.json(), {user: 'root', crontab: '0 1 * * * a\n', removed_expired: 0});
});

test('expired pairs of a PUT are counted and are not part of the answer', async (t) => {
  const {putText} = await createCronHttp(t);
  const pair = `# hoody-cron: id=${managedId} expires_at=2026-05-18T08:00:00Z\n0 1 * * * gone\n`;
  const report = await bodyOf(putText(path, `${pair}0 2 * * * stays\n`), reportedCrontabSchema);
  t.like(report, {removed_expired: 1, crontab: '0 2 * * * stays\n'});
  t.deepEqual(
    report.jobs.map(({name}) => name),
    ['stays'],
  );
});

test('runs that an end forbids are not among the next ones', async (t) => {
  const {putText} = await createCronHttp(t);
  const pair = `# hoody-cron: id=${managedId} expires_at=2026-05-18T11:00:00Z\n0 * * * * x\n`;
  const {jobs} = await bodyOf(putText(path, pair), reportedCrontabSchema);
  t.deepEqual(jobs[0]?.next, ['2026-05-18T10:00:00.000Z']);
});

test('what another parser refuses is a warning and runs', async (t) => {
  const {putText} = await createCronHttp(t);
  const {jobs} = await bodyOf(putText(path, '7-7/3 * * * * x\n'), reportedCrontabSchema);
  t.deepEqual(
    jobs[0]?.warnings.map(({code}) => code),
    ['other_parsers_refuse'],
  );
  t.is(jobs[0]?.next[0], '2026-05-18T09:07:00.000Z');
});

test('warnings of the whole text stand beside those of the jobs', async (t) => {
  const {putText} = await createCronHttp(t);
  const {warnings} = await bodyOf(
    putText(path, 'MAILTO=ops@example.org\n0 1 * * * x'),
    reportedCrontabSchema,
  );
  t.deepEqual(
    warnings.map(({code}) => code),
    ['final_newline_missing', 'mail_not_delivered'],
  );
});

test('all crontabs together have a limit', async (t) => {
  const {putText, sendJson} = await createCronHttp(t, {maxTotalLength: 100});
  t.is((await putText('/users/m.dossantos/crontab', `#${'a'.repeat(58)}\n`)).status, 200);
  const second = await putText(path, `#${'a'.repeat(58)}\n`);
  t.is(second.status, 413);
  t.like(await second.json(), {code: 'PAYLOAD_TOO_LARGE'});
  t.is((await sendJson('POST', '/users/root/entries', {schedule: '@daily', command: 'x'})).status, 413);
  t.is((await putText('/users/m.dossantos/crontab', '')).status, 200);
  t.is((await putText(path, `#${'a'.repeat(58)}\n`)).status, 200);
});

test('the next runs of an entry, as many as asked for', async (t) => {
  const {putText, get} = await createCronHttp(t);
  const put = await bodyOf(putText(path, 'TZ=Asia/Kathmandu\n15 9 * * * x\n'), reportedCrontabSchema);
  const id = put.jobs[0]?.id ?? '';
  const {next, ...rest} = await bodyOf(get(`/users/me/entries/${id}/next?count=2`), nextRunsSchema);
  t.deepEqual(rest, {entry_id: id, timezone: 'Asia/Kathmandu'});
  t.deepEqual(next, ['2026-05-19T03:30:00.000Z', '2026-05-20T03:30:00.000Z']);
  t.is((await bodyOf(get(`/users/me/entries/${id.slice(0, 8)}/next`), nextRunsSchema)).next.length, 5);
  t.is((await get(`/users/me/entries/${id}/next?count=201`)).status, 400);
  t.is((await get(`/users/me/entries/${managedId}/next`)).status, 404);
});

test('the answer to a minimal PUT is part of the answer to any', async (t) => {
  const {putText} = await createCronHttp(t);
  const full = await (await putText(path, '0 1 * * * a\n')).json();
  t.deepEqual(Object.keys(replacedCrontabSchema.parse(full)), ['user', 'crontab', 'removed_expired']);
});
