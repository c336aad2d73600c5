import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';
import {childrenOf} from '../../helpers/host-facts.ts';
import {startRuntime} from '../../helpers/runtime-process.ts';

const hourMs = 3_600_000;

/** The rollup's endpoint; what it answers is set by the test. */
async function createRollup(t: ExecutionContext) {
  const state = {status: 200, body: '{"ok":true,"rows":[]}'};
  const server = createServer((_request, response) => {
    response.writeHead(state.status, {'content-type': 'application/json'}).end(state.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : null;
  return {state, command: `curl -fsS http://127.0.0.1:${port}/scripts/rollup/run`};
}

test('S2 S3 S4 S13 S14: a nightly entry calls its URL at 01:00 UTC, and its record holds time, exit code and answer', async (t) => {
  const {command} = await createRollup(t);
  const {cron, clock, finished, runs} = await createCronWorld(t, {at: '2026-05-18T22:00:00Z'});
  await cron.createEntry('root', {schedule: '0 1 * * *', command});
  await clock.advance(3 * hourMs - 1);
  t.deepEqual(await runs(), []);
  await clock.advance(1);
  await finished(1);
  const [run] = await runs();
  t.like(run, {
    status: 'succeeded',
    scheduled_at: '2026-05-19T01:00:00.000Z',
    started_at: '2026-05-19T01:00:00.000Z',
    exit_code: 0,
    stdout: '{"ok":true,"rows":[]}',
    stderr: '',
  });
  t.truthy(run?.finished_at);
});

test('S15 S16: an answer that is not 2xx fails the run, and GET of the entry tells', async (t) => {
  const {command, state} = await createRollup(t);
  const {cron, clock, finished} = await createCronWorld(t, {at: '2026-05-18T00:59:00Z'});
  const {id} = await cron.createEntry('root', {schedule: '0 1 * * *', command});
  t.is((await cron.getEntry('root', id)).last_run, null);
  state.status = 500;
  await clock.advance(60_000);
  await finished(1);
  const {last_run} = await cron.getEntry('root', id);
  t.like(last_run, {status: 'failed', exit_code: 22});
  t.regex(last_run?.stderr ?? '', /500/);
});

test('S21: a runtime is one process, and its crontab is a plain file', async (t) => {
  const {url, pid, directory} = await startRuntime(t);
  const crontab = '0 1 * * * curl -fsS http://localhost/rollup\n';
  const put = await fetch(`${url}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: crontab,
  });
  t.is(put.status, 200);
  t.deepEqual(await childrenOf(pid), []);
  t.is(await readFile(join(directory, 'store/cron/crontabs/root.crontab'), 'utf8'), crontab);
});
