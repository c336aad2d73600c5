import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {askIncus, startTestIncus} from '../helpers/incus-daemon.ts';

const lxd = await startTestIncus();
const test = ('reason' in lxd ? anyTest.skip : anyTest) as TestFn;
anyTest.after.always('the server ends', async () => {
  if (!('reason' in lxd)) await lxd.close();
});

test('a pushed branch runs in an instance of a server, reaches its kits by their names on port 80, is cloned, and leaves nothing', async (t) => {
  if ('reason' in lxd) return t.fail();
  const {socketPath, image} = lxd;
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const configuration = join(world.stateDirectory, '../branchtab.yaml');
  await writeFile(
    configuration,
    JSON.stringify({
      provider: 'incus',
      incus: {socket: socketPath, image, network: 'own'},
      undo_window: '0',
      limits: {min_free_disk_percent: 0},
    }),
  );
  await repository.commit('main', {
    '.hoody/crontab':
      '# branchtab: name=fetch\n@hourly wget -qO- http://localhost/answer http://hoody-exec/answer\n',
    '.hoody/exec/answer.ts': "return 'of main';\n",
  });
  await repository.git('branch', 'feature/x', 'main');
  const branchCommit = await repository.commit('feature/x', {'.hoody/exec/answer.ts': "return 'of x';\n"});
  const flags = ['--config', configuration, '--repo', repository.path, '--yes'];
  const controller = await world.up(...flags);
  const branch = await controller.until(
    'feature/x',
    (each) => active(branchCommit)(each) && each.container?.state === 'running',
  );
  const {container} = branch;
  t.is(container?.provider, 'incus');
  t.is(await (await fetch(`${container?.urls.exec}/answer`)).text(), 'of x');

  const commit = await repository.commit('feature/x', {'.hoody/exec/answer.ts': "return 'of x, pushed';\n"});
  await controller.until('feature/x', active(commit));
  const job = await world.run('run', 'feature/x', 'fetch');
  t.is(job.code, 0, job.stderr);
  t.regex(job.stdout, /of x, pushedof x, pushed/);
  await controller.kill();
  t.is((await (await world.up(...flags)).until('feature/x', active(commit))).container?.id, container?.id);

  const made = await world.run('snapshots', 'create', 'feature/x', 'x-snapshot');
  t.is(made.code, 0, made.stderr);
  const clone = await world.run('containers', 'create', '--from', 'x-snapshot', '--name', 'copy');
  t.is(clone.code, 0, clone.stderr);

  await repository.git('branch', '-D', 'feature/x');
  t.is((await world.run('down', '--purge', '--yes')).code, 0);
  t.deepEqual(await world.processes(), []);
  t.deepEqual(await askIncus(socketPath, 'GET', '/1.0/instances'), []);
  t.notRegex(JSON.stringify(await askIncus(socketPath, 'GET', '/1.0/networks')), /bt-/);
  t.deepEqual(await readdir(world.stateDirectory), ['lock']);
  return undefined;
});
