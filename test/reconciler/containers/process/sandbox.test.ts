import {existsSync} from 'node:fs';
import {chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {findBundle} from '../../../../runtime/platform/authority-bundle.ts';
import {overSocket} from '../../../contract/container-provider.ts';
import {levelSkipReason} from '../../../helpers/level-available.ts';
import {processWorld} from '../../../helpers/process-provider-world.ts';
import {installStub} from '../../../helpers/provider-world.ts';

const test = ((await levelSkipReason('sandbox')) === null ? anyTest : anyTest.skip) as TestFn;

test('S35: a job sees nothing of the host but its programs', async (t) => {
  const world = await processWorld(t, 'sandbox');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const hidden = ['/root', '/home', '/etc/shadow', '/etc/ssl/private', '/boot', '/sys', world.stateDirectory];
  for (const path of hidden) {
    t.is(await overSocket(container, '/run', `ls -d ${path} 2>&1 >/dev/null | wc -l`), '1\n', path);
  }
  t.is(await overSocket(container, '/run', 'ls /tmp | wc -l'), '0\n');
  t.is(await overSocket(container, '/run', 'hostname'), 'main-1\n');
  t.is(await overSocket(container, '/run', 'pwd'), '/data\n');
});

test('S35: a job sees no process of the host and of no other container', async (t) => {
  const world = await processWorld(t, 'sandbox');
  const [one, two] = [
    await world.provider.create({name: 'one', labels: {}}),
    await world.provider.create({name: 'two', labels: {}}),
  ];
  const [first] = await Promise.all([world.provider.start(one.id), world.provider.start(two.id)]);
  const seen = await overSocket(first, '/run', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "');
  t.true(seen.includes(one.id));
  t.false(seen.includes(two.id));
  t.false(seen.includes('ava'));
});

test('a job of root can neither mount, make devices, load modules nor change the kernel', async (t) => {
  const world = await processWorld(t, 'sandbox');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const attempts = [
    'mount -t tmpfs none /srv',
    'mount -o remount,rw /usr',
    'mknod /tmp/disk b 254 0',
    'echo x >/proc/sys/kernel/hostname',
    'echo x >/proc/sysrq-trigger',
    'touch /usr/bin/evil',
    'touch /run/branchtab-runtime/evil',
    'echo x >>/etc/passwd',
    'chroot /srv true',
  ];
  for (const attempt of attempts) {
    t.is(await overSocket(container, '/run', `(${attempt}) 2>/dev/null && echo worked`), '', attempt);
  }
  const status = await overSocket(container, '/run', 'cat /proc/self/status');
  t.regex(status, /^NoNewPrivs:\t1$/m);
  // Exactly chown, dac_override, fowner, kill, setgid, setuid and net_bind_service.
  t.regex(status, /^CapEff:\t00000000000004eb$/m);
});

test('a job of another user has no capability at all', async (t) => {
  if (process.getuid?.() !== 0) return t.pass('only root can start jobs of other users');
  const world = await processWorld(t, 'sandbox');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const status = await overSocket(
    container,
    '/run',
    'setpriv --reuid=nobody --regid=nogroup --init-groups cat /proc/self/status',
  );
  t.regex(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  t.regex(status, /^CapPrm:\t0+$/m);
  t.regex(status, /^CapAmb:\t0+$/m);
  return undefined;
});

test('workspace, data directory and runtime store are writable and persistent', async (t) => {
  const world = await processWorld(t, 'sandbox');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  await overSocket(
    container,
    '/run',
    'for d in /data /srv /var/lib/branchtab; do echo $d >$d/file; done; echo x >/tmp/file',
  );
  await world.provider.stop(id, {graceMs: 0, reason: 'test'});
  const again = await world.provider.start(id);
  t.is(
    await overSocket(again, '/run', 'cat /data/file /srv/file /var/lib/branchtab/file; ls /tmp'),
    '/data\n/srv\n/var/lib/branchtab\n',
  );
});

test('the names of the kits lead to the container itself', async (t) => {
  const world = await processWorld(t, 'sandbox');
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  const port = new URL(container.kitUrl ?? '').port || '80';
  for (const name of ['hoody-cron', 'hoody-exec', 'hoody-pipe', 'hoody-notifications']) {
    const got = await overSocket(
      container,
      '/run',
      `getent hosts ${name}; curl -fsS http://${name}:${port}/env`,
    );
    t.true(got.includes(new URL(container.kitUrl ?? '').hostname), name);
    t.true(got.includes(id), name);
  }
});

test('a state directory in a tree that sandboxes share stays hidden', async (t) => {
  if (process.getuid?.() !== 0) return t.pass('only root can write there');
  const root = await mkdtemp('/opt/bt-');
  t.teardown(() => rm(root, {recursive: true, force: true}));
  const world = await processWorld(t, 'sandbox', {stateDirectory: join(root, 'state')});
  const {id} = await world.provider.create({name: 'main-1', labels: {}});
  const container = await world.provider.start(id);
  t.is(await overSocket(container, '/run', `ls -A ${root}/state`), '');
  return undefined;
});

test('a sandbox works for a user without rights too', async (t) => {
  if (process.getuid?.() !== 0) return t.pass('the other tests ran as such a user');
  const nobody = 65534;
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(root, {recursive: true, force: true}));
  await chmod(root, 0o755);
  const program = await installStub(join(root, 'program'));
  // The checkout may lie where others cannot read.
  const source = join(root, 'source');
  for (const part of [
    'api',
    'reconciler/containers',
    'runtime/platform',
    'schemas',
    'test/helpers',
    'node_modules/zod',
  ]) {
    await cp(join(import.meta.dirname, '../../../..', part), join(source, part), {recursive: true});
  }
  const stateDirectory = join(root, 'state');
  await mkdir(stateDirectory);
  await chown(stateDirectory, nobody, nobody);
  const controller = (...words: string[]) =>
    Bun.spawn(
      [
        ...['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'],
        ...[
          join(program.runtimeDirectory, 'bun'),
          join(source, 'test/helpers/small-controller.ts'),
          ...words,
        ],
      ],
      {
        env: {
          PROVIDER_OPTIONS: JSON.stringify({...program, stateDirectory, level: 'sandbox', socketRoot: root}),
        },
        stdout: 'pipe',
        stderr: 'inherit',
      },
    );
  const first = controller('start', 'rootless');
  const {value} = await first.stdout.getReader().read();
  first.kill('SIGKILL');
  const container = JSON.parse(new TextDecoder().decode(value));
  const seen = await overSocket(
    container,
    '/run',
    'id -u; ls -d /root /etc/shadow; touch /srv/file && echo written',
  );
  t.is(seen, '0\nwritten\n');

  t.is(await controller('remove').exited, 0);
  await t.throwsAsync(overSocket(container, '/health'));
  t.deepEqual(await readdir(join(stateDirectory, 'containers')), []);
  return undefined;
});

test('with a domain a container has an authority of its own, and what a job puts in its place is left alone', async (t) => {
  const {provider, stateDirectory} = await processWorld(t, 'sandbox', {domain: 'hoody.example'});
  const {id} = await provider.create({name: 'main-1', labels: {}});
  const store = join(stateDirectory, 'containers', id, 'runtime');
  const path = join(store, 'authority.json');
  await provider.start(id);
  t.is((await stat(path)).mode & 0o777, 0o600);
  t.deepEqual(JSON.parse(await readFile(path, 'utf8')).names, [
    'cron.hoody.example',
    'exec.hoody.example',
    'pipe.hoody.example',
    'notifications.hoody.example',
  ]);
  const ofHost = join(stateDirectory, 'token');
  for (const hostile of ['link', 'dangling link', 'fifo', 'directory']) {
    await provider.stop(id, {graceMs: 0, reason: 'test'});
    await rm(path, {recursive: true});
    if (hostile === 'link') await symlink(ofHost, path);
    if (hostile === 'dangling link') await symlink(`${ofHost}-new`, path);
    if (hostile === 'fifo') Bun.spawnSync(['mkfifo', path]);
    if (hostile === 'directory') await mkdir(path);
    t.is((await provider.start(id)).state, 'running', hostile);
    t.is(await readFile(ofHost, 'utf8'), 'secret of the host');
    t.false(existsSync(`${ofHost}-new`));
  }
});

test('what the host trusts is trusted inside too, in a copy that a job can change for its container alone', async (t) => {
  const bundle = await findBundle();
  if (bundle === null) {
    t.log('this host has no authorities');
    return t.pass();
  }
  const {provider} = await processWorld(t, 'sandbox', {domain: 'hoody.example'});
  const {id} = await provider.create({name: 'main-1', labels: {}});
  const container = await provider.start(id);
  const ofHost = await readFile(bundle, 'utf8');
  t.is(await overSocket(container, '/run', `cat ${bundle}`), ofHost);
  t.is(await overSocket(container, '/run', `echo of a job >>${bundle}; tail -1 ${bundle}`), 'of a job\n');
  t.is(await readFile(bundle, 'utf8'), ofHost);
  await provider.stop(id, {graceMs: 0, reason: 'test'});
  t.is(await overSocket(await provider.start(id), '/run', `cat ${bundle}`), ofHost);
  return undefined;
});
