import {existsSync} from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {containerProcesses} from '../../../../reconciler/containers/process/container-processes.ts';
import {createLog} from '../../../../runtime/platform/log.ts';
import {signalProcess} from '../../../../runtime/platform/processes.ts';
import {overSocket, until} from '../../../contract/container-provider.ts';
import {levelSkipReason} from '../../../helpers/level-available.ts';
import {processWorld} from '../../../helpers/process-provider-world.ts';
import {installStub} from '../../../helpers/provider-world.ts';

const test = ((await levelSkipReason('plain')) === null ? anyTest : anyTest.skip) as TestFn;

test('a container that an earlier controller started says its own level until it is started again', async (t) => {
  if ((await levelSkipReason('sandbox')) !== null) return t.pass();
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  t.is((await world.provider.start(id)).startedAt, undefined);
  const next = await world.open({level: 'sandbox'});
  const [adopted] = await next.list();
  t.is(adopted?.startedAt?.level, 'plain');
  t.true(adopted?.startedAt?.gaps.includes('files_of_others'));
  await next.stop(id, {graceMs: 0, reason: 'test'});
  return t.is((await next.start(id)).startedAt, undefined);
});

test('directories that are no container are reported, skipped and kept', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'good', labels: {}});
  const containers = join(world.stateDirectory, 'containers');
  const strange = {
    'not-an-id': '{}',
    ['a'.repeat(24)]: '{"id": "',
    ['b'.repeat(24)]: await readFile(join(containers, id, 'container.json'), 'utf8'),
    ['c'.repeat(24)]: '{"id": "../../etc"}',
  };
  for (const [name, text] of Object.entries(strange)) {
    await mkdir(join(containers, name));
    await writeFile(join(containers, name, 'container.json'), text);
  }
  await mkdir(join(containers, 'd'.repeat(24)));
  await mkdir(join(containers, 'e'.repeat(24), 'container.json'), {recursive: true});

  const lines: string[] = [];
  const provider = await world.open({log: createLog((line) => lines.push(line), world.options.clock.now)});
  t.deepEqual(
    (await provider.list()).map((container) => container.id),
    [id],
  );
  t.is(lines.filter((line) => line.includes('skipped a directory')).length, 6);
  t.is((await readdir(containers)).length, 7);
});

test('what a crash left of a creation, a removal or a snapshot is cleared away at the next start', async (t) => {
  const world = await processWorld(t, 'plain');
  const leftovers = [
    join(world.stateDirectory, 'containers', `.making-${'a'.repeat(24)}`),
    join(world.stateDirectory, 'containers', `.removing-${'b'.repeat(24)}`),
    join(world.stateDirectory, 'snapshots', '.making-0123'),
  ];
  const outside = join(world.stateDirectory, 'outside');
  await mkdir(outside);
  await writeFile(join(outside, 'file'), 'kept');
  for (const path of leftovers) {
    await mkdir(join(path, 'data'), {recursive: true});
    await symlink(outside, join(path, 'data', 'link'));
  }
  const provider = await world.reopen();
  await provider.close();
  t.deepEqual(leftovers.filter(existsSync), []);
  t.deepEqual(await provider.list(), []);
  t.is(await readFile(join(outside, 'file'), 'utf8'), 'kept');
});

test('a start that was cut off before it was written down leaves a failed container whose processes the next start ends', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  await world.provider.start(id);
  const [before] = await containerProcesses({containerId: id, cgroup: null, roots: []});
  const file = join(world.stateDirectory, 'containers', id, 'container.json');
  await writeFile(file, JSON.stringify({...JSON.parse(await readFile(file, 'utf8')), process: null}));

  const next = await world.reopen();
  t.is((await next.list())[0]?.state, 'failed');
  const again = await next.start(id);
  t.is(await overSocket(again, '/health'), 'ok');
  const pids = (await containerProcesses({containerId: id, cgroup: null, roots: []})).map((row) => row.pid);
  t.false(pids.includes(before?.pid ?? 0));
});

test('after a reboot of the host a container that ran is failed, and a process that has its old pid is left alone', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  await world.provider.start(id);
  await world.provider.stop(id, {graceMs: 0, reason: 'test'});
  const stranger = Bun.spawn(['sleep', '1000']);
  t.teardown(() => stranger.kill());
  const file = join(world.stateDirectory, 'containers', id, 'container.json');
  const stat = await readFile(`/proc/${stranger.pid}/stat`, 'utf8');
  const identity = {
    pid: stranger.pid,
    start_ticks: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]),
  };
  const process = {
    boot_id: 'an-earlier-boot',
    runtime: identity,
    roots: [identity],
    kit_url: 'http://127.64.0.1:80',
    runtime_version: '0.1.0',
  };
  const record = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({...record, wanted: 'running', process}));

  const next = await world.reopen();
  t.like((await next.list())[0], {state: 'failed', kitUrl: null});
  await next.start(id);
  await next.stop(id, {graceMs: 0, reason: 'test'});
  t.is(stranger.exitCode, null);
  t.is(stranger.signalCode, null);
});

test('a snapshot that was cut off lets the frozen processes go on at the next start', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const file = join(world.stateDirectory, 'containers', id, 'container.json');
  await writeFile(file, JSON.stringify({...JSON.parse(await readFile(file, 'utf8')), frozen: true}));
  for (const row of await containerProcesses({containerId: id, cgroup: null, roots: []}))
    signalProcess(row, 'SIGSTOP');
  await until(async () =>
    (await containerProcesses({containerId: id, cgroup: null, roots: []})).every((row) => row.state === 'T'),
  );

  await world.reopen();
  t.is(await overSocket(container, '/health'), 'ok');
  t.false(JSON.parse(await readFile(file, 'utf8')).frozen);
});

test('a stop that was cut off leaves a running container, which the next stop ends', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  await world.provider.start(id);
  const file = join(world.stateDirectory, 'containers', id, 'container.json');
  await writeFile(file, JSON.stringify({...JSON.parse(await readFile(file, 'utf8')), wanted: 'stopped'}));
  const next = await world.reopen();
  t.is((await next.list())[0]?.state, 'running');
  await next.stop(id, {graceMs: 5_000, reason: 'test'});
  t.is((await next.list())[0]?.state, 'stopped');
  t.false(await world.runs(id));
});

test('a snapshot that was moved aside by a replacement that was cut off is there again', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const snapshot = await world.provider.snapshot(id, 'main');
  const snapshots = join(world.stateDirectory, 'snapshots');
  await rename(join(snapshots, 'main'), join(snapshots, '.replaced-main'));
  const next = await world.reopen();
  t.deepEqual(await next.listSnapshots(), [snapshot]);
});

test('a clone knows which tree its workspace holds, so that only what differs is sent to it', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const record = (each: string) =>
    join(world.stateDirectory, 'containers', each, 'runtime', 'workspace.json');
  await writeFile(record(id), '{"tree": "abc"}');
  await world.provider.snapshot(id, 'main');
  const clone = await world.provider.create({name: 'clone', labels: {}, from: 'main'});
  t.is(await readFile(record(clone.id), 'utf8'), '{"tree": "abc"}');
});

test('a long state path puts sockets into a private short directory, which goes with the container', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(root, {recursive: true, force: true}));
  const stateDirectory = join(root, 'x'.repeat(120));
  const world = await processWorld(t, 'plain', {stateDirectory, socketRoot: root});
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  t.true(Buffer.byteLength(container.controlSocket) <= 100);
  t.is(await overSocket(container, '/health'), 'ok');
  const sockets = join(root, `branchtab-${process.getuid?.()}`);
  t.is((await stat(sockets)).mode & 0o777, 0o700);
  await world.provider.remove(id);
  t.deepEqual(await readdir(sockets), []);
});

test('a directory for sockets that another user prepared is refused', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(root, {recursive: true, force: true}));
  const prepared = join(root, `branchtab-${process.getuid?.()}`);
  await mkdir(prepared);
  const world = await processWorld(t, 'plain', {
    stateDirectory: join(root, 'x'.repeat(120)),
    socketRoot: root,
  });
  await chmod(prepared, 0o777);
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  await t.throwsAsync(world.provider.start(id), {code: 'PROVIDER_UNAVAILABLE', message: /mode 0700/});
});

test('a link that a job puts in the place of its socket is not followed', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const own = join(world.stateDirectory, 'containers', id, 'run', 'control.sock');
  await rm(own);
  await symlink('/var/run/docker.sock', own);
  t.is(await overSocket(container, '/health'), 'ok');
});

test('a process of another container or without a mark is not touched by stop', async (t) => {
  const world = await processWorld(t, 'plain');
  const [one, two] = [
    await world.provider.create({name: 'one', labels: {}}),
    await world.provider.create({name: 'two', labels: {}}),
  ];
  await world.provider.start(one.id);
  const running = await world.provider.start(two.id);
  const directory = join(world.stateDirectory, 'containers', one.id, 'data');
  const stranger = Bun.spawn(['sleep', '1000'], {cwd: directory, env: {OTHER: one.id}});
  t.teardown(() => stranger.kill());
  await world.provider.stop(one.id, {graceMs: 0, reason: 'test'});
  t.is(await overSocket(running, '/health'), 'ok');
  t.is(stranger.exitCode ?? stranger.signalCode, null);
});

test('a job that left its session, its parent and its environment behind is ended, where cgroups can be made', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const record = JSON.parse(
    await readFile(join(world.stateDirectory, 'containers', id, 'container.json'), 'utf8'),
  );
  if (record.cgroup === null) {
    console.log('SKIP provider=process level=plain reason=no cgroup can be made here');
    return t.pass();
  }
  const mark = `5${id.replace(/[a-f]/g, '').slice(0, 9)}`;
  await overSocket(container, '/spawn', `exec env -i setsid sleep ${mark}`);
  await until(() => world.runs(`sleep ${mark}`));
  await world.provider.stop(id, {graceMs: 0, reason: 'test'});
  t.false(await world.runs(`sleep ${mark}`));
  t.false(existsSync(record.cgroup));
  return undefined;
});

test('a container runs in the time zone it was made with', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'main-1', labels: {}, timeZone: 'Asia/Tokyo'});
  const container = await world.provider.start(id);
  t.is(await overSocket(container, '/run', 'echo $TZ'), 'Asia/Tokyo\n');
});

test('1,000 containers are read at start', async (t) => {
  const world = await processWorld(t, 'plain');
  const {id} = await world.provider.create({name: 'first', labels: {}});
  const containers = join(world.stateDirectory, 'containers');
  const record = JSON.parse(await readFile(join(containers, id, 'container.json'), 'utf8'));
  for (let index = 0; index < 1_000; index += 1) {
    const other = index.toString(16).padStart(24, '0');
    await mkdir(join(containers, other));
    await writeFile(
      join(containers, other, 'container.json'),
      JSON.stringify({...record, id: other, name: `copy-${index}`}),
    );
  }
  const provider = await world.reopen();
  t.is((await provider.list()).length, 1_001);
});

test('every process of a bounded container is in its cgroups, and they are gone with it', async (t) => {
  const {provider, stateDirectory} = await processWorld(t, 'plain');
  const {id} = await provider.create({name: 'main-1', labels: {}, limits: {cpus: 0.5, memoryBytes: 2 ** 28}});
  const container = await provider.start(id);
  if (container.unenforced.length > 0) {
    t.log(`this host has no means to bound ${container.unenforced.join(' and ')}`);
    t.pass();
    return;
  }
  const record = JSON.parse(await readFile(join(stateDirectory, 'containers', id, 'container.json'), 'utf8'));
  const groups = record.limit_groups as {directory: string; version: 1 | 2; bounds: string[]}[];
  const cpu = groups.find(({bounds}) => bounds.includes('cpus'));
  const quota = cpu?.version === 2 ? 'cpu.max' : 'cpu.cfs_quota_us';
  t.regex(await readFile(join(cpu?.directory ?? '', quota), 'utf8'), /^50000( 100000)?\n$/);
  const child = await overSocket(container, '/run', 'echo $$');
  const members = (await readFile(join(cpu?.directory ?? '', 'cgroup.procs'), 'utf8')).split('\n');
  t.true(members.includes(String(record.process.runtime.pid)));
  t.regex(child, /^\d+\n$/);
  await provider.remove(id);
  for (const {directory} of groups) t.false(existsSync(directory), directory);
});

test('a container that is started by a newer version has the data it had', async (t) => {
  const {provider, open, options} = await processWorld(t, 'plain');
  const {id} = await provider.create({name: 'main-1', labels: {}});
  const before = await provider.start(id);
  await overSocket(before, '/run', 'echo kept >file');
  const newer = await open(await installStub(join(options.stateDirectory, '../newer')));
  await newer.stop(id, {graceMs: 0, reason: 'upgrade'});
  const after = await newer.start(id);
  t.is(await overSocket(after, '/run', 'cat file'), 'kept\n');
  t.regex(await overSocket(after, '/run', 'tr "\\0" " " </proc/$PPID/cmdline'), /\/newer\//);
});
