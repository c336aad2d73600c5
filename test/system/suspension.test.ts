import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const everyMinute = '* * * * * true\n';
const hourly = '0 * * * * true\n';

const isSuspended = (branch: Branch) =>
  branch.container?.state === 'paused' &&
  branch.conditions.some(({type, reason}) => type === 'Ready' && reason === 'suspended');

test('a branch that a person pauses stays so through pushes and a restart, and resumes by itself or when asked', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const first = await repository.commit('main', {'.hoody/crontab': hourly});
  const flags = ['--repo', repository.path];
  const controller = await world.up(...flags);
  await controller.until('main', active(first));
  t.is((await world.run('pause', 'main', '--for', '8h')).code, 2);
  t.is((await world.run('resume', 'main')).code, 1);

  const paused = await world.run('pause', 'main', '--for', '8h', '--reason', 'incident 12', '--owner', 'ada');
  t.is(paused.code, 0, paused.stderr);
  await controller.until('main', isSuspended);
  const pushed = await repository.commit('main', {'.hoody/crontab': everyMinute});
  const applied = await controller.until(
    'main',
    (branch) => branch.observed_revision === pushed && isSuspended(branch),
  );
  t.is(await controller.crontab(applied), everyMinute);
  await controller.kill();
  const second = await world.up(...flags);
  await world.run('reconcile', 'main');
  await second.until('main', isSuspended);
  const status = await world.run('status');
  t.is(status.code, 0);
  t.regex(
    status.stdout,
    /main notice\n {2}No job runs until .*, or branchtab resume: suspended by ada \(incident 12\)\./,
  );

  t.is((await world.run('resume', 'main')).code, 0);
  t.is((await second.until('main', active(pushed))).container?.state, 'running');

  await world.run('pause', 'main', '--for', '2s', '--reason', 'a moment', '--owner', 'ada');
  await second.until('main', isSuspended);
  t.is((await second.until('main', active(pushed))).container?.state, 'running');
});

test('the configuration suspends branches until a date, and says where', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const config = join(repository.directory, 'branchtab.yaml');
  const until = (ms: number) => new Date(Date.now() + ms).toISOString();
  await writeFile(
    config,
    `environments:
  - branches: live
    suspend: {until: '${until(3_600_000)}', owner: ada, reason: moving the database}
  - branches: 'feature/*'
    suspend: {until: '${until(-3_600_000)}', owner: bob, reason: long over}
`,
  );
  const controller = await world.up('--repo', repository.path, '--config', config);
  const main = await controller.until('main', isSuspended);
  t.like(main.suspension, {owner: 'ada', place: 'environments[0].suspend'});
  await controller.until('feature/billing-v2', (branch) => branch.container?.state === 'running');
  const refused = await world.run('resume', 'main');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /suspended by environments\[0\]\.suspend of the configuration until/);

  await writeFile(
    config,
    'environments:\n  - branches: live\n    suspend: {until: soon, owner: ada, reason: x}\n',
  );
  const wrong = await world.second().run('up', '--repo', repository.path, '--config', config);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /branchtab\.yaml:3:\d+ /);
});
