import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, mkdtemp, readFile, rm, watch} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;
const child = fileURLToPath(new URL('../../helpers/cron-child.ts', import.meta.url));

async function startChild(
  t: ExecutionContext,
  crontab: string,
  when: string,
): Promise<{directory: string; process: ChildProcess}> {
  const directory = await mkdtemp(join(tmpdir(), 'cron-crash-'));
  const started = spawn(process.execPath, [child, directory, crontab, when], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    started.kill('SIGKILL');
    await rm(directory, {recursive: true, force: true});
  });
  return {directory, process: started};
}

/** A service on what the child left, half a minute before the same minute is due again. */
function reopen(t: ExecutionContext, directory: string) {
  return createCronWorld(t, {
    directory: join(directory, 'cron'),
    dataDirectory: directory,
    at: '2026-05-18T09:00:30Z',
  });
}

test('killed between claim and start: the run is interrupted, never started, and not run again', async (t) => {
  const {directory, process: killed} = await startChild(t, '1 9 * * * touch ran\n', 'claimed');
  const [, signal] = await once(killed, 'exit');
  t.is(signal, 'SIGKILL');
  const {clock, runs} = await reopen(t, directory);
  await clock.advance(minuteMs);
  t.deepEqual(
    (await runs()).map(({status, reason, started_at, scheduled_at}) => ({
      status,
      reason,
      started_at,
      scheduled_at,
    })),
    [
      {
        status: 'interrupted',
        reason: 'runtime_died_before_start',
        started_at: null,
        scheduled_at: '2026-05-18T09:01:00.000Z',
      },
    ],
  );
  await t.throwsAsync(access(join(directory, 'ran')), {code: 'ENOENT'});
});

test('killed with a running job: the run is interrupted and not run again', async (t) => {
  const crontab = '1 9 * * * echo $$ >> pids; touch ready; exec sleep 60\n';
  const {directory, process: killed} = await startChild(t, crontab, 'running');
  for await (const {filename} of watch(directory)) if (filename === 'ready') break;
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  const {clock, runs} = await reopen(t, directory);
  await clock.advance(minuteMs);
  t.deepEqual(
    (await runs()).map(({status, reason}) => [status, reason]),
    [['interrupted', 'runtime_died']],
  );
  const pids = (await readFile(join(directory, 'pids'), 'utf8')).trim().split('\n');
  t.is(pids.length, 1);
  process.kill(Number(pids[0]), 'SIGKILL');
});

test('killed with a running job: the record keeps what the job had written up to a second before', async (t) => {
  const crontab = '1 9 * * * echo written; echo $$ > pid; exec sleep 60\n';
  const {directory, process: killed} = await startChild(t, crontab, 'ticking');
  const [first] = (await once(killed.stdout ?? killed, 'data')) as [Buffer];
  t.is(first.toString(), 'stored\n');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  const {runs} = await reopen(t, directory);
  t.like((await runs())[0], {status: 'interrupted', reason: 'runtime_died', stdout: 'written\n'});
  process.kill(Number(await readFile(join(directory, 'pid'), 'utf8')), 'SIGKILL');
});
