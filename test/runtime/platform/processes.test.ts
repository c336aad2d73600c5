import {copyFile, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {
  isRunning,
  listProcesses,
  namespacePids,
  readProcess,
  signalProcess,
  startedWith,
  withDescendants,
} from '../../../runtime/platform/processes.ts';

function sleeper(t: ExecutionContext, command = ['sleep', '1000']) {
  const child = Bun.spawn(command, {env: {MARK: 'one', PATH: '/usr/bin:/bin'}});
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

test('a process is found by pid and start time until it ends', async (t) => {
  const child = sleeper(t);
  const row = readProcess(child.pid);
  if (row === null) return t.fail('not found');
  t.is(row.parentPid, process.pid);
  t.true(isRunning(row));
  t.false(isRunning({pid: row.pid, startTicks: row.startTicks + 1}));
  t.true(signalProcess(row, 'SIGKILL'));
  await child.exited;
  t.false(isRunning(row));
  t.false(signalProcess(row, 'SIGKILL'));
  return undefined;
});

test('a signal for a process that had this pid before is not sent', (t) => {
  const child = sleeper(t);
  t.false(signalProcess({pid: child.pid, startTicks: 1}, 'SIGKILL'));
  t.is(child.signalCode, null);
});

test('a program name with parentheses and spaces does not confuse the reading', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const program = join(directory, 'a) Z 1 (b');
  await copyFile('/bin/sleep', program);
  const child = sleeper(t, [program, '1000']);
  t.like(readProcess(child.pid), {pid: child.pid, parentPid: process.pid});
});

test('the starting environment is matched as a whole', async (t) => {
  const child = sleeper(t);
  // Until the program is executed the process shows our own environment.
  while (!startedWith(child.pid, 'MARK=one')) await Bun.sleep(1);
  t.false(startedWith(child.pid, 'MARK=on'));
  t.false(startedWith(child.pid, 'ARK=one'));
});

test('descendants are found through several generations', async (t) => {
  const child = sleeper(t, ['sh', '-c', 'sh -c "sleep 1000; true"; true']);
  let family = 0;
  while (family < 3) {
    const rows = await listProcesses();
    family = withDescendants(
      rows,
      rows.filter((row) => row.pid === child.pid),
    ).length;
  }
  t.is(family, 3);
  const rows = await listProcesses();
  for (const row of withDescendants(
    rows,
    rows.filter((row) => row.pid === child.pid),
  ))
    signalProcess(row, 'SIGKILL');
});

test('a process of our own namespace has one pid', (t) => {
  t.is(namespacePids(process.pid).at(-1), process.pid);
  t.deepEqual(namespacePids(2 ** 22 + 1), []);
});
