import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import anyTest, {type ExecutionContext} from 'ava';
import {startTestEngine, type TestEngine} from '../helpers/container-engine.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../helpers/git-world.ts';
import {
  controlGroupsNaming,
  descriptorsOf,
  filesBelow,
  keepersOfNetworks,
  mountsNaming,
  presentKeepers,
  processesNaming,
  socketsNaming,
} from '../helpers/host-facts.ts';
import {levelSkipReason} from '../helpers/level-available.ts';

const many = 60;
/** Of the controller's log and journal, which tell of what was. */
const mostGrowthBytes = 4 * 1024 * 1024;

const podman = await startTestEngine('podman');
const levels = await Promise.all(
  (['sandbox', 'network'] as const).map(async (level) => ({level, skips: await levelSkipReason(level)})),
);
anyTest.after.always('the engine ends', async () => {
  if (!('reason' in podman)) await podman.close();
});

for (const {level, skips} of levels) {
  // One after another: each needs the machine for itself.
  const test = skips === null ? anyTest.serial : anyTest.skip;
  test(`S92: sixty branches that come, change and go leave nothing behind at level ${level}`, (t) =>
    comeAndGo(t, {flags: ['--level', level], engine: null}));
}

('reason' in podman ? anyTest.skip : anyTest.serial)(
  'S92: sixty branches that come, change and go leave nothing behind on Podman',
  async (t) => {
    if ('reason' in podman) return t.fail();
    await comeAndGo(t, {flags: ['--provider', 'docker'], engine: podman});
    return undefined;
  },
);

/** Runs leave records, which are counted at the end as what was left behind. */
const neverDue = '0 0 1 1 * true\n';

async function comeAndGo(
  t: ExecutionContext,
  {flags, engine}: {flags: readonly string[]; engine: TestEngine | null},
): Promise<void> {
  t.timeout(1_200_000);
  const world = await createControllerWorld(
    t,
    engine === null ? {} : {DOCKER_HOST: `unix://${engine.socketPath}`},
  );
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const configuration = join(world.stateDirectory, '../branchtab.yaml');
  await writeFile(
    configuration,
    JSON.stringify({
      ...(engine === null ? {} : {docker: {image: engine.image, network: 'own'}}),
      undo_window: '0',
      limits: {min_free_disk_percent: 0},
    }),
  );
  for (const branch of ['main', 'feature/billing-v2'])
    await repository.commit(branch, {'.hoody/crontab': neverDue});
  const controller = await world.up(
    ...flags,
    ...['--config', configuration, '--repo', repository.path, '--yes'],
  );
  await controller.until('main', (branch) => isTrue(branch, 'Ready'));
  const engineRoot = engine === null ? null : join(engine.socketPath, '..');
  const inEngine = async (path: string): Promise<number> => {
    if (engine === null) return 0;
    const text = await (await fetch(`http://engine${path}`, {unix: engine.socketPath})).text();
    return text.match(/branchtab-|bt-/g)?.length ?? 0;
  };

  const round = async (count: number) => {
    const ofMain = new Set(await world.processes());
    const names = Array.from({length: count}, (_, index) => `many/${index}`);
    await importBranches(repository, names, (name) => ({
      '.hoody/crontab': neverDue,
      '.hoody/exec/name.ts': `return ${JSON.stringify(name)};\n`,
      'a/b.txt': name,
    }));
    const ids: string[] = [];
    for (const name of names) {
      const {container} = await controller.until(name, (branch) => isTrue(branch, 'Ready'));
      t.is(await (await fetch(`${container?.urls.exec}/name`)).text(), name);
      ids.push(container?.id.replace('ctr_', '') ?? t.fail(name) ?? '');
    }
    const commits = new Map<string, string>();
    for (const name of names)
      commits.set(name, await repository.commit(name, {'.hoody/exec/name.ts': "return 'pushed';\n"}));
    for (const [name, commit] of commits) {
      const {container} = await controller.until(name, active(commit));
      t.is(await (await fetch(`${container?.urls.exec}/name`)).text(), 'pushed');
    }
    const pids = (await world.processes()).filter((pid) => !ofMain.has(pid));
    t.true(pids.length >= count);
    const keepers = await keepersOfNetworks(pids);
    await repository.gitWithInput(
      names.map((name) => `delete refs/heads/${name}\n`).join(''),
      'update-ref',
      '--stdin',
    );
    await world.run('reconcile', '--confirm-deletions', '--no-wait');
    for (const name of names) await controller.untilForgotten(name);
    return {ids, keepers};
  };
  const facts = async () => ({
    containers: await readdir(join(world.stateDirectory, 'containers')),
    records: await readdir(join(world.stateDirectory, 'branches')),
    processes: (await processesNaming(world.stateDirectory)).length,
    mounts: await mountsNaming(world.stateDirectory),
    sockets: await socketsNaming(join(world.stateDirectory, '..')),
    ofEngine: {
      containers: (await engine?.engine.listContainers('branchtab.owner'))?.length,
      images: (await engine?.engine.listImages('branchtab.image_owner'))?.length,
      volumes: await inEngine('/volumes'),
      networks: await inEngine('/networks'),
      mounts: engineRoot === null ? 0 : await mountsNaming(engineRoot),
    },
  });
  const disk = async () => ({
    state: await filesBelow(world.stateDirectory),
    // What happened to a branch can be asked for 90 days after it.
    journal: await filesBelow(join(world.stateDirectory, 'journal')),
    engine: engineRoot === null ? {count: 0, bytes: 0} : await filesBelow(engineRoot),
  });

  // The first branches open what stays open: the readers of the repository, connections to main's runtime.
  await round(4);
  const [before, diskBefore] = [await facts(), await disk()];
  const descriptorsBefore = await descriptorsOf(controller.pid);
  const {ids, keepers} = await round(many);
  t.deepEqual(await facts(), before);
  t.deepEqual(await leftOf(keepers), []);
  t.deepEqual(await controlGroupsNaming(ids), []);
  const descriptors = await descriptorsOf(controller.pid);
  t.true(descriptors <= descriptorsBefore + 3, `${descriptors} descriptors after ${descriptorsBefore}`);
  const diskAfter = await disk();
  const filesIn = ({state, journal}: typeof diskBefore) => state.count - journal.count;
  t.is(filesIn(diskAfter), filesIn(diskBefore));
  t.true(diskAfter.engine.count <= diskBefore.engine.count, JSON.stringify([diskBefore, diskAfter]));
  for (const place of ['state', 'engine'] as const) {
    const grownBytes = diskAfter[place].bytes - diskBefore[place].bytes;
    t.true(grownBytes <= mostGrowthBytes, `${place} grew by ${grownBytes} bytes`);
  }
}

/** The kernel and the engine take a moment over the last of a namespace; longer than that is for ever. */
async function leftOf(keepers: readonly string[]): Promise<string[]> {
  let left = await presentKeepers(keepers);
  for (let looks = 0; left.length > 0 && looks < 60; looks += 1) {
    await Bun.sleep(500);
    left = await presentKeepers(keepers);
  }
  return left;
}
