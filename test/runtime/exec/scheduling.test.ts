import {join} from 'node:path';
import test from 'ava';
import {execHttp} from '../../helpers/exec-http.ts';
import {deploymentOf} from '../../helpers/exec-world.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';
import {fileAppears} from '../../helpers/file-appears.ts';

const api = '/api/v1/exec';

test('a script written with @schedule runs at its minute, and its history says how', async (t) => {
  const clock = new FakeClock(Date.parse('2026-05-01T00:00:30Z'));
  const {json, home} = await execHttp(t, {clock});
  const content = '// @schedule * * * * *\nawait Bun.write("ran", "1"); return 1';
  t.is((await json('POST', `${api}/scripts/write`, {path: 'jobs/tick.ts', content})).status, 200);
  t.like((await json('GET', `${api}/schedules/list`)).body, {
    count: 1,
    schedules: {0: {scriptPath: 'jobs/tick.ts', nextRun: '2026-05-01T00:01:00.000Z', timezone: 'UTC'}},
  });
  const ran = fileAppears(join(home, 'ran'));
  await clock.advance(30_000);
  await ran;
  const triggered = await json('POST', `${api}/schedules/trigger`, {scriptPath: 'jobs/tick.ts', force: true});
  t.like(triggered.body, {triggered: true, status: 'success'});
  const {body} = await json('GET', `${api}/schedules/history?scriptPath=jobs/tick.ts&limit=1`);
  t.like(body, {count: 1, runs: {0: {trigger: 'manual', httpStatus: 200}}});
});

test('what a failing script answers stands in its history', async (t) => {
  const {json} = await execHttp(t);
  const scripts = {
    'bad.ts': '// @schedule @yearly\nthrow new Error("no row 7")',
    'late.ts': '// @schedule @yearly\n// @schedule-timeout 20\nawait new Promise(() => {})',
  };
  for (const [path, content] of Object.entries(scripts))
    await json('POST', `${api}/scripts/write`, {path, content});
  t.like((await json('POST', `${api}/schedules/trigger`, {scriptPath: 'bad.ts'})).body, {status: 'error'});
  t.like((await json('POST', `${api}/schedules/trigger`, {scriptPath: 'late.ts'})).body, {status: 'timeout'});
  const first = await json('GET', `${api}/schedules/history?limit=1`);
  t.like(first.body, {runs: {0: {scriptPath: 'late.ts', error: 'It did not answer in time.'}}});
  const {nextCursor} = first.body as {nextCursor: string};
  const second = await json('GET', `${api}/schedules/history?limit=1&cursor=${nextCursor}`);
  t.like(second.body, {count: 1, nextCursor: null, runs: {0: {httpStatus: 500}}});
  t.regex(JSON.stringify(second.body), /no row 7/);
  const later = await json('GET', `${api}/schedules/history?since=2999-01-01T00:00:00Z`);
  t.like(later.body, {count: 0});
  t.is((await json('GET', `${api}/schedules/history?since=soon`)).status, 400);
  t.like(await json('POST', `${api}/schedules/trigger`, {scriptPath: 'none.ts'}), {
    status: 404,
    body: {code: 'SCHEDULE_NOT_FOUND'},
  });
});

test('scripts of a commit have no schedule of their own', async (t) => {
  const {json, exec} = await execHttp(t);
  const texts = {'a.ts': '// @schedule * * * * *\nreturn 1'};
  await exec.deploy(deploymentOf(texts));
  t.like((await json('GET', `${api}/schedules/list`)).body, {count: 1});
  await exec.deploy(deploymentOf(texts, {commit: 'a'.repeat(40)}));
  t.like((await json('GET', `${api}/schedules/list`)).body, {count: 0});
});

test('a deleted script is not run any more', async (t) => {
  const {json} = await execHttp(t);
  await json('POST', `${api}/scripts/write`, {path: 'a.ts', content: '// @schedule @hourly\nreturn 1'});
  t.like((await json('POST', `${api}/schedules/reload`, {dry_run: true})).body, {
    dryRun: true,
    added: {length: 0},
    kept: {0: 'a.ts'},
  });
  await json('DELETE', `${api}/scripts/delete?path=a.ts&confirm=true`);
  t.like((await json('GET', `${api}/schedules/list`)).body, {count: 0});
  t.like((await json('POST', `${api}/schedules/reload`)).body, {removed: {length: 0}});
});
