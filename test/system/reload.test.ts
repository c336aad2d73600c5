import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('SIGHUP reads the configuration again, says what that means, and no schedule stops', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const first = await repository.commit('main', {'.hoody/crontab': '0 * * * * true\n'});
  const config = join(repository.directory, 'branchtab.yaml');
  const write = (text: string) => writeFile(config, text);
  await write('undo_window: 24h\n');
  const controller = await world.up('--repo', repository.path, '--config', config);
  const before = await controller.until('main', active(first));
  await controller.until('feature/billing-v2', (branch) => branch.container?.state === 'running');
  const processes = await world.processes();
  t.deepEqual(await controller.reload(), {type: 'reloaded', changes: [], problem: null});

  const until = new Date(Date.now() + 3_600_000).toISOString();
  await write(`undo_window: 7d
branches: ['main']
environments:
  - branches: live
    variables: {MODE: live}
    suspend: {until: '${until}', owner: ada, reason: moving}
`);
  const {changes, problem} = await controller.reload();
  t.is(problem, null);
  t.deepEqual(changes, [
    'undo_window: 1d → 7d',
    `main: suspended until ${until} by ada (moving)`,
    'main: variables and secrets: MODE=live',
    'feature/billing-v2: not served any more: its container goes to the trash',
  ]);
  const suspended = await controller.until('main', (branch) => branch.container?.state === 'paused');
  t.is(suspended.container?.id, before.container?.id);
  await controller.until('feature/billing-v2', ({conditions}) =>
    conditions.some(({reason}) => reason === 'trashed'),
  );
  const left = await world.processes();
  t.true(left.length > 0 && left.every((pid) => processes.includes(pid)));

  await write('undo_window: soon\n');
  const wrong = await controller.reload();
  t.regex(wrong.problem ?? '', /branchtab\.yaml:1:\d+ /);
  t.is((await controller.client.branch('main')).container?.state, 'paused');

  // What only starting can find out leaves the former configuration in force too.
  await write(`repositories: [${repository.path}]\nmail: {smtp_url: {from_file: /nowhere}}\n`);
  const unusable = await controller.reload();
  t.regex(unusable.problem ?? '', /mail\.smtp_url/);
  t.is(
    (await controller.until('main', ({container}) => container?.state === 'paused')).suspension?.owner,
    'ada',
  );
});
