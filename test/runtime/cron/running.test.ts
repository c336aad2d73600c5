import {execFile} from 'node:child_process';
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {createCronWorld} from '../../helpers/cron-world.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('S39: a job of a further user has that user, its groups and none of ours', async (t) => {
  const {stdout: expected} = await promisify(execFile)('id', ['nobody']);
  const {clock, put, finished, runs} = await createCronWorld(t, {dataDirectory: '/'});
  await put('* * * * * id; id -G\n', 'nobody');
  await clock.advance(minuteMs);
  await finished(1);
  const {stdout: groups} = await promisify(execFile)('id', ['-G', 'nobody']);
  t.is((await runs('nobody'))[0]?.stdout, expected + groups);
});

asRoot('a shell that a further user cannot have is a failed start', async (t) => {
  const {clock, put, finished, runs} = await createCronWorld(t, {dataDirectory: '/'});
  await put('SHELL=/nonexistent\n* * * * * true\n', 'nobody');
  await clock.advance(minuteMs);
  await finished(1);
  t.regex((await runs('nobody'))[0]?.reason ?? '', /^failed_to_start: /);
});

test('a thousand jobs due at once all run, while the service goes on answering', async (t) => {
  const {cron, clock, directory, put, finished, runs, text} = await createCronWorld(t);
  const lines = Array.from({length: 1000}, (_, index) => `1 9 * * * echo ${index} >> all\n`).join('');
  await put(lines);
  const running = clock.advance(minuteMs);
  t.is(await text(), lines);
  await running;
  await finished(1000);
  const numbers = (await readFile(join(directory, 'all'), 'utf8')).trim().split('\n').map(Number);
  t.deepEqual(
    numbers.sort((a, b) => a - b),
    lines
      .trim()
      .split('\n')
      .map((_, index) => index),
  );
  t.true((await runs()).every(({status, exit_code}) => status === 'succeeded' && exit_code === 0));
  t.is(cron.summary().running_jobs, 0);
});

test('the record of a running job holds what it wrote up to a second ago', async (t) => {
  const {clock, put, finished, runs, wrote} = await createCronWorld(t);
  await put(
    '1 9 * * * echo first; echo oops >&2; until [ -e go ]; do sleep 0.02; done; echo last\n2 9 * * * touch go\n',
  );
  await clock.advance(minuteMs);
  await wrote();
  while ((await runs())[0]?.stderr === '') await clock.advance(secondMs);
  t.like((await runs())[0], {status: 'running', stdout: 'first\n', stderr: 'oops\n', finished_at: null});
  await clock.advance(minuteMs);
  await finished(2);
  t.like((await runs())[1], {status: 'succeeded', stdout: 'first\nlast\n', stderr: 'oops\n'});
});

test('a follower gets what is there, what comes in, and the record at the end', async (t) => {
  const {cron, clock, put, runs, wrote} = await createCronWorld(t);
  await put(
    '1 9 * * * echo first; until [ -e go ]; do sleep 0.02; done; echo last; exit 3\n2 9 * * * touch go\n',
  );
  await clock.advance(minuteMs);
  await wrote();
  const [{id} = {id: ''}] = await runs();
  const events = await cron.followRun('root', id, new AbortController().signal);
  let text = '';
  for await (const event of events) {
    if (event.type === 'output') {
      if (text === '') await clock.advance(minuteMs);
      text += event.text;
    } else t.like(event, {type: 'end', run: {id, status: 'failed', exit_code: 3}});
  }
  t.is(text, 'first\nlast\n');
});

test('a follower that leaves is forgotten, and one that comes late gets the record', async (t) => {
  const {cron, clock, put, finished, runs} = await createCronWorld(t);
  await put('1 9 * * * echo out; echo err >&2\n');
  await clock.advance(minuteMs);
  await finished(1);
  const [{id} = {id: ''}] = await runs();
  const left = new AbortController();
  const types: string[] = [];
  for await (const event of await cron.followRun('root', id, left.signal))
    types.push(event.type === 'output' ? event.stream : event.type);
  t.deepEqual(types, ['stdout', 'stderr', 'end']);
});

test('a flood that nobody reads does not hold the job back', async (t) => {
  const {cron, clock, put, finished, runs, wrote} = await createCronWorld(t);
  await put(
    '1 9 * * * echo begin; until [ -e go ]; do sleep 0.02; done; yes | head -c 8000000\n2 9 * * * touch go\n',
  );
  await clock.advance(minuteMs);
  await wrote();
  const [{id} = {id: ''}] = await runs();
  const events = (await cron.followRun('root', id, new AbortController().signal))[Symbol.asyncIterator]();
  t.like((await events.next()).value, {type: 'output', text: 'begin\n'});
  await clock.advance(minuteMs);
  await finished(2);
  let left = 0;
  for (let next = await events.next(); !next.done; next = await events.next())
    if (next.value.type === 'gap') left += next.value.characters;
  t.true(left > 1_000_000);
});

// Alone: jobs of other tests are zombies for the moment until they are reaped.
test.serial('no job is left as a zombie', async (t) => {
  const {clock, put, finished} = await createCronWorld(t);
  await put('* * * * * true\n* * * * * kill -KILL $$\n* * * * * (sleep 0.01 &) ; true\n');
  await clock.advance(3 * minuteMs);
  await finished(9);
  // One that has ended just now is a zombie until it is reaped, a moment later.
  let zombies = await zombiesOf(process.pid);
  for (let looks = 1; zombies.length > 0 && looks < 100; looks += 1) {
    await systemClock.sleep(20);
    const still = await zombiesOf(process.pid);
    zombies = zombies.filter((pid) => still.includes(pid));
  }
  t.deepEqual(zombies, []);
});

async function zombiesOf(parentPid: number): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  return pids.filter((_, index) => {
    const stat = stats[index] ?? '';
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' && Number(parent) === parentPid;
  });
}

test('run now runs what cron would, with a record of its own that says so', async (t) => {
  const {cron, put, finished, runs} = await createCronWorld(t, {state: 'paused'});
  await put('GREETING=hello\n# branchtab: name=greet\n0 0 1 1 * echo $GREETING; cat%input\n');
  const entries = (await cron.listEntries('root', {page: 1, limit: 50})).entries;
  const id = entries.find((item) => item.name === 'greet')?.id ?? '';
  const first = await cron.runEntry('root', id.slice(0, 8));
  const second = await cron.runEntry('root', id);
  t.like(first, {entry_id: id, status: 'running', reason: 'manual'});
  t.not(first.id, second.id);
  await finished(2);
  t.deepEqual(
    (await runs()).map(({status, reason, stdout}) => [status, reason, stdout]),
    [
      ['succeeded', 'manual', 'hello\ninput\n'],
      ['succeeded', 'manual', 'hello\ninput\n'],
    ],
  );
});

test('run now respects overlap=forbid, and a service that stops', async (t) => {
  const {cron, put} = await createCronWorld(t);
  await put('# branchtab: name=a overlap=forbid\n0 0 1 1 * sleep 60\n');
  const id = (await cron.listEntries('root', {page: 1, limit: 50})).entries[1]?.id ?? '';
  await cron.runEntry('root', id);
  t.like(await cron.runEntry('root', id), {status: 'skipped', reason: 'overlap'});
  await cron.stop({graceMs: 0, reason: 'shutdown'});
  await t.throwsAsync(cron.runEntry('root', id), {code: 'SHUTTING_DOWN'});
});
