import {readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {active, type ControllerWorld, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../helpers/git-world.ts';

const crontab = (command: string) => ({'.hoody/crontab': `0 3 1 1 * ${command}\n`});
const because = (reason: string) => (branch: Branch) =>
  branch.conditions.some((condition) => condition.type === 'Ready' && condition.reason === reason);

/** The state home that a world's controllers share, as all of one user do. */
const owners = ({stateDirectory}: ControllerWorld) =>
  join(stateDirectory, '..', '.local/state/branchtab/owners');

async function setup(t: ExecutionContext) {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const second = world.second();
  const upSecond = (...flags: string[]) => second.up('--repo', repository.path, ...flags);
  const containers = async (state: string) =>
    (await readdir(join(state, 'containers'))).filter((name) => !name.startsWith('.'));
  return {world, repository, second, upSecond, containers};
}

test('a second controller changes nothing, says who has the repository, and takes it over only when told to', async (t) => {
  t.timeout(180_000);
  const {world, repository, second, upSecond, containers} = await setup(t);
  const first = await world.up('--repo', repository.path, '--branches', 'main,p');
  const commit = await repository.commit('p', crontab('true'));
  await first.until('p', active(commit));

  const other = await upSecond('--branches', 'main,p');
  const readOnly = await other.until('p', because('read_only'));
  t.is(readOnly.container, null);
  t.true(readOnly.plan.some(({kind}) => kind === 'create_container'));
  t.deepEqual(await containers(second.stateDirectory), []);
  const status = await second.run('status');
  t.is(status.code, 5);
  t.true(status.stdout.includes(world.stateDirectory), status.stdout);
  t.true(status.stdout.includes(`pid ${first.pid} at ${first.url}`), status.stdout);
  t.regex(status.stdout, /branchtab up --take-over/);
  for (const words of [
    ['release', 'p'],
    ['forget', 'p', '--yes'],
    ['restore', 'p'],
    ['data', 'restore', 'p', '--without-backup', '--yes'],
  ]) {
    const {code, stderr} = await second.run(...words, '--json');
    t.is(code, 1);
    t.is(JSON.parse(stderr).code, 'READ_ONLY');
  }
  await other.stop();

  const taken = await upSecond('--take-over', '--branches', 'main,p');
  await taken.until('p', active(commit));
  await taken.until('main', ({container}) => container?.state === 'running');
  for (const name of ['main', 'p']) {
    const fenced = await first.until(name, because('read_only'));
    t.is(fenced.container?.state, 'paused');
    t.regex(
      fenced.conditions.map(({message}) => message).join(),
      new RegExp(`${second.stateDirectory}.*take-over`),
    );
  }
  const next = await repository.commit('p', crontab('next'));
  await taken.until('p', active(next));
  const left = await first.until('p', ({revision}) => revision === next);
  t.is(left.observed_revision, commit);
  await first.stop();
  await taken.stop();

  // The former owner stays so after a restart, until it takes its own back.
  const again = await world.up('--repo', repository.path, '--branches', 'main,p');
  await again.until('p', because('read_only'));
  await again.stop();
  const back = await world.up('--repo', repository.path, '--branches', 'main,p', '--take-over');
  await back.until('p', active(next));
  t.is((await back.client.branch('main')).container?.state, 'running');
});

test('jobs of a former owner whose controller is gone are paused by the one that takes over', async (t) => {
  t.timeout(120_000);
  const {world, repository, upSecond} = await setup(t);
  const first = await world.up('--repo', repository.path, '--branches', 'main');
  const live = await first.until('main', ({container}) => container?.state === 'running');
  await first.kill();
  const taken = await upSecond('--take-over', '--branches', 'main');
  await taken.until('main', ({container}) => container?.state === 'running');
  const id = live.container?.id.replace('ctr_', '') ?? '';
  const control = await readFile(
    join(world.stateDirectory, 'containers', id, 'runtime/control/state.json'),
    'utf8',
  );
  t.deepEqual(JSON.parse(control).schedule, {state: 'paused', reason: 'taken_over'});
});

test('a repository is free again after down, and when the state directory of its owner is gone', async (t) => {
  t.timeout(120_000);
  const {world, repository, second, upSecond, containers} = await setup(t);
  const running = ({container}: Branch) => container?.state === 'running';
  const first = await world.up('--repo', repository.path, '--branches', 'main');
  await first.until('main', running);
  t.is((await world.run('down')).code, 0);
  const other = await upSecond('--branches', 'main');
  await other.until('main', running);
  await second.run('down');
  t.deepEqual(
    (await readdir(owners(world))).filter((name) => name.endsWith('.json')),
    [],
  );

  const third = await upSecond('--branches', 'main');
  await third.until('main', running);
  await third.stop();
  const [id = ''] = await containers(second.stateDirectory);
  const processes = await second.processes();
  t.true(processes.length > 0);
  await rename(second.stateDirectory, `${second.stateDirectory}-away`);
  const fourth = await world.up('--repo', repository.path, '--branches', 'main');
  await fourth.until('main', running);
  await rename(`${second.stateDirectory}-away`, second.stateDirectory);
  t.deepEqual(await containers(second.stateDirectory), [id]);
});

test('another work tree and another path of the repository are the same repository', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const second = world.second();
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const tree = join(repository.directory, 'tree');
  await repository.git('worktree', 'add', '--quiet', '--detach', tree);
  const first = await world.up('--repo', repository.path, '--branches', 'main');
  await first.until('main', ({container}) => container?.state === 'running');
  const other = await second.up('--repo', tree, '--branches', 'main');
  const {container} = await other.until('main', because('read_only'));
  t.is(container, null);
});

test("a claim that cannot be understood is taken for somebody's", async (t) => {
  t.timeout(120_000);
  const {world, repository} = await setup(t);
  const first = await world.up('--repo', repository.path, '--branches', 'main');
  await first.until('main', ({container}) => container?.state === 'running');
  const [name = ''] = (await readdir(owners(world))).filter((each) => each.endsWith('.json'));
  await writeFile(join(owners(world), name), '{"owner":');
  // Where it was still at work, it says that it is read-only a moment before its schedule is paused.
  const isReadOnly = because('read_only');
  const fenced = await first.until(
    'main',
    (branch) => isReadOnly(branch) && branch.container?.state === 'paused',
  );
  t.is(fenced.container?.state, 'paused');
  await first.stop();
  const again = await world.up('--repo', repository.path, '--branches', 'main');
  await again.until('main', because('read_only'));
  await again.stop();
  const taken = await world.up('--repo', repository.path, '--branches', 'main', '--take-over');
  await taken.until('main', ({container}) => container?.state === 'running');
});

test('containers without records are left alone until they are adopted', async (t) => {
  t.timeout(120_000);
  const {world, repository} = await setup(t);
  const stale = Array.from({length: 6}, (_, index) => `stale/${index}`);
  await importBranches(repository, stale, () => crontab('stale'));
  const flags = ['--repo', repository.path];
  const first = await world.up(...flags, '--branches', 'main,p');
  const commit = await repository.commit('p', crontab('one'));
  const before = await first.until('p', active(commit));
  await first.kill();
  for (const name of ['branches', 'repositories'])
    await rm(join(world.stateDirectory, name), {recursive: true});
  const next = await repository.commit('p', crontab('two'));

  for (let start = 0; start < 2; start += 1) {
    const lost = await world.up(...flags);
    const found = await lost.until(
      'p',
      (branch) => because('read_only')(branch) && branch.container !== null,
    );
    t.is(found.observed_revision, null);
    t.is(await lost.crontab(found), '0 3 1 1 * one\n');
    const status = await world.run('status');
    t.regex(
      status.stdout,
      /2 container\(s\) of .* are here, but the records of them are lost.*branchtab adopt/,
    );
    await lost.kill();
  }
  const controller = await world.up(...flags);
  await controller.until('p', because('read_only'));
  const adopted = await world.run('adopt');
  t.is(adopted.stdout, 'Adopted 2 container(s).\n');
  const after = await controller.until('p', active(next));
  t.is(after.container?.id, before.container?.id);
  // Branches that nothing ran for wait, as they would in a repository that is new.
  const waiting = await controller.until('stale/0', because('first_contact'));
  t.is(waiting.container, null);
  t.is((await world.run('adopt')).stdout, 'No container waits to be adopted.\n');
});

test('by its ref a repository is claimed for other machines too', async (t) => {
  t.timeout(180_000);
  // Two homes stand for two machines: neither sees the claims of the other's state home.
  const [here, there] = [await createControllerWorld(t), await createControllerWorld(t)];
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const up = async (world: ControllerWorld, ...flags: string[]) => {
    const config = join(world.stateDirectory, '..', 'branchtab.yaml');
    await writeFile(config, 'owner_ref: true\nbranches: [main]\n');
    return world.up('--repo', repository.path, '--config', config, ...flags);
  };
  const running = ({container}: Branch) => container?.state === 'running';
  const first = await up(here);
  await first.until('main', running);
  const other = await up(there);
  const readOnly = await other.until('main', because('read_only'));
  t.regex(readOnly.conditions.map(({message}) => message).join(), new RegExp(here.stateDirectory));
  await other.stop();

  const taken = await up(there, '--take-over');
  await taken.until('main', running);
  t.is((await first.until('main', because('read_only'))).container?.state, 'paused');
  const claim = await repository.git('log', '-1', '--format=%B', 'refs/branchtab/owner');
  t.like(JSON.parse(claim), {state_directory: there.stateDirectory, repository: repository.path});
});
