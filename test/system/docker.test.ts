import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type TestFn} from 'ava';
import {startTestEngine} from '../helpers/container-engine.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const podman = await startTestEngine('podman');
const test = ('reason' in podman ? anyTest.skip : anyTest) as TestFn;
anyTest.after.always('the engine ends', async () => {
  if (!('reason' in podman)) await podman.close();
});

test('a pushed branch runs in a container of an engine, reaches its kits by their names on port 80, and leaves nothing', async (t) => {
  if ('reason' in podman) return t.fail();
  const {engine, image, socketPath} = podman;
  const world = await createControllerWorld(t, {DOCKER_HOST: `unix://${socketPath}`});
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const configuration = join(world.stateDirectory, '../branchtab.yaml');
  await writeFile(
    configuration,
    JSON.stringify({docker: {image, network: 'own'}, undo_window: '0', limits: {min_free_disk_percent: 0}}),
  );
  await repository.commit('main', {
    '.hoody/crontab':
      '# branchtab: name=fetch\n@hourly wget -qO- http://localhost/answer http://hoody-exec/answer\n',
    '.hoody/exec/answer.ts': "return 'of main';\n",
  });
  await repository.git('branch', 'feature/x', 'main');
  const branchCommit = await repository.commit('feature/x', {'.hoody/exec/answer.ts': "return 'of x';\n"});
  const flags = ['--provider', 'docker', '--config', configuration, '--repo', repository.path, '--yes'];
  const controller = await world.up(...flags);
  const branch = await controller.until(
    'feature/x',
    (each) => active(branchCommit)(each) && each.container?.state === 'running',
  );
  const {container} = branch;
  t.is(container?.provider, 'docker');
  t.is(await (await fetch(`${container?.urls.exec}/answer`)).text(), 'of x');

  const commit = await repository.commit('feature/x', {'.hoody/exec/answer.ts': "return 'of x, pushed';\n"});
  await controller.until('feature/x', active(commit));
  const job = await world.run('run', 'feature/x', 'fetch');
  t.is(job.code, 0, job.stderr);
  t.regex(job.stdout, /of x, pushedof x, pushed/);
  await controller.kill();
  t.is((await (await world.up(...flags)).until('feature/x', active(commit))).container?.id, container?.id);

  await repository.git('branch', '-D', 'feature/x');
  t.is((await world.run('down', '--purge', '--yes')).code, 0);
  t.deepEqual(await world.processes(), []);
  t.deepEqual(await engine.listContainers('branchtab.owner'), []);
  t.deepEqual(await engine.listImages('branchtab.image_owner'), []);
  const networks = await (await fetch('http://engine/networks', {unix: socketPath})).text();
  t.notRegex(networks, /branchtab-/);
  t.deepEqual(await readdir(world.stateDirectory), ['lock']);
  return undefined;
});
