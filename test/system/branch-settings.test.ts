import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createCommandWorld} from '../helpers/command-world.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const crontab = '# branchtab: name=slow\n0 3 1 1 * exec sleep 60\n';

test('a branch tightens what the operator allows, and stalls where it would widen it', async (t) => {
  t.timeout(120_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, "environments:\n  - {branches: '**', limits: {run_time: 5m}}\n");
  await repository.commit('main', {'.hoody/crontab': crontab});
  const controller = await world.up('--repo', repository.path, '--config', config);
  const tight = await repository.commit('p', {
    '.hoody/settings.yaml': 'version: 1\npreviews: {limits: {run_time: 1s}, run: none}\n',
  });
  const {conditions} = await controller.until('p', active(tight));
  t.regex(conditions.find(({type}) => type === 'Ready')?.message ?? '', /held/);
  const {stdout} = await world.run('status', 'p');
  t.regex(
    stdout,
    /By its own \.hoody\/settings\.yaml: previews\.limits\.run_time is 1s \(the operator allows 5m\); previews\.run is none \(the operator allows all\)\./,
  );
  const ended = await world.run('run', 'p', 'slow');
  t.is(ended.code, 1);
  t.regex(ended.stderr, /timed_out \(limit_run_time\)/);

  const wide = await repository.commit('p', {
    '.hoody/settings.yaml': 'version: 1\npreviews:\n  limits: {run_time: 1h}\n',
  });
  const stalled = await controller.until(
    'p',
    (branch) => branch.revision === wide && isTrue(branch, 'Stalled'),
  );
  t.is(stalled.observed_revision, tight);
  t.like(stalled.conditions.find(({type}) => type === 'Stalled')?.issues?.[0], {
    file: '.hoody/settings.yaml',
    line: 3,
    code: 'settings_widen',
  });
  t.regex((await world.run('status', 'p')).stdout, /\.hoody\/settings\.yaml:3:\d+ .*the operator allows 5m/);

  // Live takes its own part alone: what a preview says of previews is no matter of it.
  const merged = await repository.commit('main', {
    '.hoody/settings.yaml': 'version: 1\nlive: {limits: {run_time: 1s}}\npreviews: {run: none}\n',
  });
  await controller.until('main', active(merged));
  t.regex((await world.run('run', 'main', 'slow')).stderr, /timed_out \(limit_run_time\)/);
});

test('plan says what settings tighten and refuses what widens, by the configuration beside it', async (t) => {
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const commands = await createCommandWorld(t);
  await writeFile(
    join(commands.directory, 'branchtab.yaml'),
    "environments:\n  - {branches: 'load/*', limits: {run_time: 2h}}\n",
  );
  await repository.commit('load/x', {
    '.hoody/settings.yaml':
      'version: 1\nlive: {limits: {memory: 1GB}}\npreviews:\n  limits: {run_time: 1h}\n',
  });
  const plan = (head: string) => commands.run(['plan', '--repo', repository.path, '--head', head]);
  const allowed = await plan('load/x');
  t.is(allowed.code, 0, allowed.stdout);
  t.regex(
    allowed.stdout,
    /settings of a preview: previews\.limits\.run_time is 1h \(the operator allows 2h\)/,
  );
  t.regex(allowed.stdout, /settings once live: live\.limits\.memory is 1 GB \(the operator allows any\)/);
  await repository.commit('other', {
    '.hoody/settings.yaml': 'version: 1\npreviews:\n  limits: {run_time: 1h}\n',
  });
  const refused = await plan('other');
  t.is(refused.code, 1);
  t.regex(refused.stdout, /error \.hoody\/settings\.yaml:3:\d+ .*the operator allows 10m/);
});
