import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {active, type ControllerWorld, createControllerWorld} from './controller-world.ts';
import {createGitWorld} from './git-world.ts';

/**
 * What a person does with a whole controller whose containers are an engine's: a branch is pushed, pushed again, its
 * job run, the controller killed and started again, a container cloned, the branch deleted. Nothing is left of this
 * host's; what is in the engine then is up to the test.
 */
export async function journeyOnEngine(
  t: ExecutionContext,
  {
    configuration,
    environment = {},
  }: {readonly configuration: object; readonly environment?: Record<string, string>},
): Promise<void> {
  const world = await createControllerWorld(t, environment);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const path = join(world.stateDirectory, '../branchtab.yaml');
  await writeFile(
    path,
    JSON.stringify({
      domain: 'hoody.example',
      undo_window: '0',
      limits: {min_free_disk_percent: 0},
      ...configuration,
    }),
  );
  await repository.commit('main', {
    '.hoody/crontab':
      '# branchtab: name=fetch\n@hourly wget -qO- http://localhost/answer http://hoody-exec/answer && curl -fsS https://exec.hoody.example/answer\n',
    '.hoody/exec/answer.ts': "return 'of main';\n",
  });
  await repository.git('branch', 'feature/x', 'main');
  const branchCommit = await repository.commit('feature/x', {'.hoody/exec/answer.ts': "return 'of x';\n"});
  const flags = ['--config', path, '--repo', repository.path, '--yes'];
  const controller = await world.up(...flags);
  const {container} = await controller.until(
    'feature/x',
    (each) => active(branchCommit)(each) && each.container?.state === 'running',
  );
  t.is(await (await fetch(`${container?.urls.exec}/answer`)).text(), 'of x');

  const commit = await repository.commit('feature/x', {'.hoody/exec/answer.ts': "return 'of x, pushed';\n"});
  await controller.until('feature/x', active(commit));
  const job = await world.run('run', 'feature/x', 'fetch');
  t.is(job.code, 0, job.stderr);
  t.regex(job.stdout, /of x, pushedof x, pushedof x, pushed/);
  await controller.kill();
  t.is((await (await world.up(...flags)).until('feature/x', active(commit))).container?.id, container?.id);

  const made = await world.run('snapshots', 'create', 'feature/x', 'x-snapshot');
  t.is(made.code, 0, made.stderr);
  const clone = await world.run('containers', 'create', '--from', 'x-snapshot', '--name', 'copy');
  t.is(clone.code, 0, clone.stderr);
  // The clone trusts its own authority, and no longer the one of the container it was copied from.
  const [former, own] = [await trusted(world, 'feature/x'), await trusted(world, 'copy')];
  t.is(own.split('BEGIN CERTIFICATE').length, 3);
  t.not(own, former);
  const secure = await inside(world, 'copy', 'curl -fsS https://cron.hoody.example/users/root/crontab');
  t.is(secure.code, 0, secure.stderr);

  await repository.git('branch', '-D', 'feature/x');
  t.is((await world.run('down', '--purge', '--yes')).code, 0);
  t.deepEqual(await world.processes(), []);
  t.deepEqual(await readdir(world.stateDirectory), ['lock']);
}

/** The authority of a container, and those that its programs trust; its image has none. */
async function trusted(world: ControllerWorld, container: string): Promise<string> {
  const {stdout} = await inside(world, container, 'cat /etc/branchtab/authority.crt "$SSL_CERT_FILE"');
  return stdout;
}

function inside(world: ControllerWorld, container: string, command: string) {
  return world.run('containers', 'exec', container, command);
}
