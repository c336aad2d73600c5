import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {Instance} from '../../reconciler/containers/incus/incus.ts';
import {active, createControllerWorld, isTrue} from './controller-world.ts';
import {createGitWorld} from './git-world.ts';
import type {TestCluster} from './incus-cluster.ts';
import {askIncus} from './incus-daemon.ts';

/** How long jobs of a preview go on without a controller that reaches them. */
const lease = '20s';
/** Once a minute each branch says that it runs, and where: an instance has its own name for a host name. */
const mark = (url: string) => `wget -qO- "${url}/$HOODY_BRANCH/$(hostname)/$HOODY_RUN_ID"\n`;

interface Mark {
  readonly branch: string;
  readonly instance: string;
  /** Of the same job and the same minute it is the same, wherever it runs. */
  readonly run: string;
}

/**
 * What a person sees of a whole controller over a cluster of two: live and a preview are pushed to each member, the
 * second member's daemon dies and comes back, everything is taken down. `reach` is how the controller reaches the cluster.
 */
export async function journeyOnCluster(
  t: ExecutionContext,
  {incus, socketPath, image, host, killSecond, reviveSecond}: TestCluster,
  reach: object,
): Promise<void> {
  const marks: Mark[] = [];
  const server = Bun.serve({
    hostname: host,
    port: 0,
    fetch({url}) {
      const [, branch = '', instance = '', run = ''] = new URL(url).pathname.split('/');
      marks.push({branch, instance, run});
      return new Response('');
    },
  });
  const world = await createControllerWorld(t);
  t.teardown(() => server.stop(true));
  const files = {
    '.hoody/crontab':
      '* * * * * sh "$HOODY_WORKSPACE/mark.sh"\n# branchtab: name=tool\n@yearly cat /opt/tool\n',
    'mark.sh': mark(`http://${host}:${server.port}`),
  };
  const shop = await createGitWorld(t);
  await shop.commit('main', files);
  const billing = await createGitWorld(t);
  await billing.commit('main', files);
  await billing.git('branch', '-m', 'main', 'billing');
  const path = join(world.stateDirectory, '../branchtab.yaml');
  const up = async (target: string | undefined, ...repositories: readonly string[]) => {
    const configuration = {
      undo_window: '0',
      limits: {min_free_disk_percent: 0},
      provider: 'incus',
      incus: {...reach, image, ...(target === undefined ? {} : {target})},
      previews: {lease},
      environments: [{branches: ['**'], from: 'main-snapshot'}],
    };
    await writeFile(path, JSON.stringify(configuration));
    return await world.up('--config', path, '--yes', ...repositories.flatMap((each) => ['--repo', each]));
  };
  const run = async (...words: string[]) => {
    const {code, stdout, stderr} = await world.run(...words);
    t.is(code, 0, stderr);
    return stdout;
  };
  const instancesOf = async (branch: string): Promise<Instance[]> =>
    await incus.listInstances('user.branchtab.branch', branch);
  const memberOf = async (branch: string) => (await instancesOf(branch)).map(({member}) => member);
  const markedBy = (branch: string) =>
    new Set(marks.filter((each) => each.branch === branch).map(({instance}) => instance));

  const first = await up('one', shop.path);
  await first.until('main', (branch) => isTrue(branch, 'Ready'));
  await run('containers', 'exec', 'main', 'mkdir -p /opt && echo tool >/opt/tool');
  await run('snapshots', 'create', 'main', 'main-snapshot');
  await first.stop();

  const second = await up('two', shop.path, billing.path);
  await second.until('billing', (branch) => isTrue(branch, 'Ready'));
  await shop.git('branch', 'preview', 'main');
  for (const [repository, name] of [
    [shop, 'preview'],
    [shop, 'main'],
    [billing, 'billing'],
  ] as const)
    await second.until(name, active(await repository.commit(name, {'pushed.txt': `to ${name}\n`})));
  t.deepEqual(await memberOf('main'), ['one']);
  t.deepEqual(await memberOf('preview'), ['two']);
  t.deepEqual(await memberOf('billing'), ['two']);
  t.is(await run('containers', 'exec', 'preview', 'cat /opt/tool'), 'tool\n');
  t.regex(await run('run', 'preview', 'tool'), /tool/);
  await second.stop();

  const controller = await up(undefined, shop.path, billing.path);
  const lost = (await controller.until('preview', (branch) => isTrue(branch, 'Ready'))).container;
  const [before] = await instancesOf('preview');
  while (!markedBy('preview').has(before?.name ?? 'none')) await Bun.sleep(200);
  await killSecond();
  const marksBefore = marks.length;
  const told = /[Tt]he member two of the Incus cluster, .* does not answer since \d{4}-/;
  for (const name of ['preview', 'billing'])
    await controller.until(name, (branch) => told.test(JSON.stringify(branch)));
  const status = await world.run('status');
  t.regex(status.stdout, told);
  t.regex(status.stdout, /nothing is made elsewhere: bring the member back/);
  t.regex(status.stdout, /made anew on another at/);

  const rebuilt = await controller.until(
    'preview',
    (branch) => isTrue(branch, 'Ready') && branch.container?.state === 'running',
  );
  t.is(rebuilt.container?.id, lost?.id);
  t.is(await run('containers', 'exec', 'preview', 'cat /opt/tool'), 'tool\n');
  const [again] = (await instancesOf('preview')).filter(({member}) => member === 'one');
  t.not(again?.name, before?.name);
  // A schedule that goes on where it was made anew, and one that never stopped on the member that is away.
  const isMarked = () =>
    markedBy('preview').has(again?.name ?? 'none') &&
    marks.slice(marksBefore).some(({branch}) => branch === 'billing');
  while (!isMarked()) await Bun.sleep(200);

  await reviveSecond();
  await controller.until(
    'billing',
    (branch) => isTrue(branch, 'Ready') && branch.container?.state === 'running',
  );
  while ((await memberOf('preview')).includes('two')) await Bun.sleep(200);
  t.deepEqual(await memberOf('preview'), ['one']);
  t.is(await run('containers', 'exec', 'billing', 'echo back'), 'back\n');

  await killSecond();
  const refused = await world.run('down', '--purge', '--yes');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /two of the cluster does not answer: .*Nothing was removed/s);
  await reviveSecond();
  t.regex(await run('down', '--purge', '--yes'), /removed 3/);
  t.deepEqual(await world.processes(), []);
  t.deepEqual(await readdir(world.stateDirectory), ['lock']);
  t.deepEqual(await askIncus(socketPath, 'GET', '/1.0/instances'), []);
  t.notRegex(JSON.stringify(await askIncus(socketPath, 'GET', '/1.0/networks')), /bt-/);
  t.deepEqual(await askIncus(socketPath, 'GET', '/1.0/storage-pools/default/volumes/custom'), []);

  t.is(markedBy('billing').size, 1);
  t.deepEqual(markedBy('preview'), new Set([before?.name ?? '', again?.name ?? '']));
  const twice = marks.filter(
    ({branch, run}) => marks.filter((each) => each.branch === branch && each.run === run).length > 1,
  );
  t.deepEqual(twice, [], 'no job ran twice');
}
