import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../helpers/git-world.ts';
import {descriptorsOf, filesBelow, mountsNaming, processesNaming} from '../helpers/host-facts.ts';

const many = 60;

test('S92: sixty branches that come and go leave no process, mount, file or descriptor behind', async (t) => {
  t.timeout(600_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--undo-window', '0', '--yes');
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));

  const round = async (count: number) => {
    const names = Array.from({length: count}, (_, index) => `many/${index}`);
    await importBranches(repository, names, (name) => ({
      '.hoody/crontab': '0 1 * * * true\n',
      '.hoody/exec/name.ts': `return ${JSON.stringify(name)};\n`,
      'a/b.txt': name,
    }));
    for (const name of names) {
      const {container} = await controller.until(name, (branch) => isTrue(branch, 'Ready'));
      t.is(await (await fetch(`${container?.urls.exec}/name`)).text(), name);
    }
    t.true((await world.processes()).length > count);
    await repository.gitWithInput(
      names.map((name) => `delete refs/heads/${name}\n`).join(''),
      'update-ref',
      '--stdin',
    );
    await world.run('reconcile', '--confirm-deletions', '--no-wait');
    for (const name of names) await controller.untilForgotten(name);
  };
  const facts = async () => ({
    containers: await readdir(join(world.stateDirectory, 'containers')),
    records: await readdir(join(world.stateDirectory, 'branches')),
    processes: (await processesNaming(world.stateDirectory)).length,
    mounts: await mountsNaming(world.stateDirectory),
    files: (await filesBelow(world.stateDirectory)).count,
    descriptors: await descriptorsOf(controller.pid),
  });

  // The first branches open what stays open: the readers of the repository, connections to main's runtime.
  await round(4);
  const before = await facts();
  await round(many);
  const after = await facts();
  t.deepEqual(after.containers, before.containers);
  t.deepEqual(after.records, before.records);
  t.is(after.processes, before.processes);
  t.is(after.mounts, before.mounts);
  t.true(after.files <= before.files, `${after.files} files after ${before.files}`);
  t.true(
    after.descriptors <= before.descriptors + 3,
    `${after.descriptors} descriptors after ${before.descriptors}`,
  );
});
