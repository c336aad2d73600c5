import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createCronWorld} from '../../helpers/cron-world.ts';

const minuteMs = 60_000;

test('S60: a due line runs through the shell in the data directory and its record holds all of it', async (t) => {
  const {clock, directory, put, finished, runs} = await createCronWorld(t);
  await put(`* * * * * pwd; echo oops >&2; printf 'auth\\nother\\n' | grep auth | tee -a tree.log; exit 3\n`);
  await clock.advance(minuteMs);
  await finished(1);
  const [run, ...others] = await runs();
  t.is(others.length, 0);
  t.like(run, {
    status: 'failed',
    exit_code: 3,
    signal: null,
    stdout: `${directory}\nauth\n`,
    stderr: 'oops\n',
    truncated: false,
    scheduled_at: '2026-05-18T09:01:00.000Z',
    started_at: '2026-05-18T09:01:00.000Z',
    lateness_ms: 0,
    revision: 'abc123',
    schedule: '* * * * *',
    entry_name: 'pwd',
  });
  t.is(await readFile(join(directory, 'tree.log'), 'utf8'), 'auth\n');
});

test('a job has the environment of cron, the container and its lines, and nothing of ours', async (t) => {
  const {clock, directory, put, finished, runs} = await createCronWorld(t);
  await put('GREETING="hello  there"\nLOGNAME=liar\n* * * * * env | sort\n');
  await clock.advance(minuteMs);
  await finished(1);
  const names = (await runs())[0]?.stdout.split('\n') ?? [];
  for (const line of [
    'GREETING=hello  there',
    'HOODY_BRANCH=main',
    'LOGNAME=root',
    'USER=root',
    'SHELL=/bin/sh',
  ]) {
    t.true(names.includes(line), line);
  }
  t.true(names.includes(`HOME=${directory}`));
  const known = [
    'GREETING',
    'HOME',
    'HOODY_BRANCH',
    'HOODY_RUN_ID',
    'LOGNAME',
    'PATH',
    'PWD',
    'SHELL',
    'USER',
    'SHLVL',
    '_',
    'OLDPWD',
  ];
  t.deepEqual(
    names.filter((line) => line !== '' && !known.includes(line.split('=')[0] ?? '')),
    [],
  );
});

test('the SHELL of the crontab runs the command', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('SHELL=/bin/bash\n* * * * * test -n "$BASH_VERSION" && echo bash\n');
  await clock.advance(minuteMs);
  await finished(1);
  t.is((await runs())[0]?.stdout, 'bash\n');
});

test('text after a percent sign is the standard input', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('* * * * * cat; echo 100\\%%first%second\n');
  await clock.advance(minuteMs);
  await finished(1);
  t.is((await runs())[0]?.stdout, 'first\nsecond\n100%\n');
});

test('a shell that does not exist is a failed run with its reason', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('SHELL=/nonexistent\n* * * * * true\n');
  await clock.advance(minuteMs);
  await finished(1);
  const [run] = await runs();
  t.is(run?.status, 'failed');
  t.regex(run?.reason ?? '', /^failed_to_start: /);
});

test('a job that ends by a signal says which', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('* * * * * kill -USR1 $$\n');
  await clock.advance(minuteMs);
  await finished(1);
  t.like((await runs())[0], {status: 'failed', exit_code: null, signal: 'SIGUSR1'});
});

test('of a flood of output head and tail are kept and the job never waits', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put(`* * * * * echo begin; head -c 5000000 /dev/zero | tr '\\0' x; echo end\n`);
  await clock.advance(minuteMs);
  await finished(1);
  const [run] = await runs();
  t.like(run, {status: 'succeeded', truncated: true});
  t.true(run?.stdout.startsWith('begin\nxxx'));
  t.true(run?.stdout.endsWith('xxxend\n'));
  t.regex(run?.stdout ?? '', /\n\[\.\.\. 4934474 bytes left out \.\.\.\]\n/);
});

test('a process left behind does not keep the run open', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('* * * * * sleep 30 & echo $!\n');
  await clock.advance(minuteMs);
  await finished(1);
  const [run] = await runs();
  t.is(run?.status, 'succeeded');
  process.kill(Number(run?.stdout), 'SIGKILL');
});

test('a run may overlap the one before', async (t) => {
  const {cron, clock, put} = await createCronWorld(t);
  await put('* * * * * sleep 30\n');
  await clock.advance(2 * minuteMs);
  t.is(cron.summary().running_jobs, 2);
});

test('stopping ends the whole process group and the record says why', async (t) => {
  const {cron, clock, put, runs} = await createCronWorld(t);
  await put(`* * * * * (trap '' TERM; sleep 30 & echo $! > child.pid; wait); true\n`);
  await clock.advance(minuteMs);
  const stopped = cron.stop({graceMs: 1000, reason: 'branch_deleted'});
  await clock.advance(1000);
  await stopped;
  t.like((await runs())[0], {status: 'interrupted', reason: 'branch_deleted'});
  t.is(cron.summary().running_jobs, 0);
});

test('after a stop nothing starts', async (t) => {
  const {cron, clock, put, runs} = await createCronWorld(t);
  await put('* * * * * true\n');
  await cron.stop({graceMs: 0, reason: 'shutdown'});
  await clock.advance(5 * minuteMs);
  t.deepEqual(await runs(), []);
});

test('changing a line leaves its running job alone', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t);
  await put('* * * * * until [ -e go ]; do sleep 0.02; done; echo done\n');
  await clock.advance(minuteMs);
  await put('0 0 1 1 * touch go\n');
  await put('* * * * * touch go\n');
  await clock.advance(minuteMs);
  await finished(2);
  t.deepEqual(
    (await runs()).map(({status, stdout}) => [status, stdout]),
    [
      ['succeeded', ''],
      ['succeeded', 'done\n'],
    ],
  );
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;
asRoot('S39: a line of a further system user runs as that user', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t, {dataDirectory: '/'});
  await put('* * * * * id -un; echo $LOGNAME\n', 'nobody');
  await clock.advance(minuteMs);
  await finished(1);
  t.is((await runs('nobody'))[0]?.stdout, 'nobody\nnobody\n');
  t.deepEqual(await runs('root'), []);
});
