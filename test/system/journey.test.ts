import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createPushWorld} from '../helpers/git-world.ts';

const everyMinute =
  '* * * * * echo "ran on $HOODY_BRANCH at $HOODY_COMMIT"; cat "$HOODY_WORKSPACE/data.txt"; pwd; exit 3\n';

test('S22 S25 S31 S34 S99: from push to a fired job, a new schedule, a revert, and nothing left', async (t) => {
  t.timeout(180_000);
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.origin.path, '--undo-window', '0');

  const first = await repository.push('feature/rollup', {
    '.hoody/crontab': everyMinute,
    'data.txt': 'of the branch\n',
  });
  const deployed = await controller.until('feature/rollup', active(first));
  t.is(await controller.crontab(deployed), everyMinute);
  t.is(deployed.container?.state, 'running');
  t.true((deployed.active_ms ?? Number.POSITIVE_INFINITY) < 5000);
  t.is((await controller.until('main', ({observed_revision}) => observed_revision !== null)).live, true);

  const fired = await controller.until('feature/rollup', ({last_run}) => last_run?.status === 'failed');
  const [run] = await controller.runs('feature/rollup');
  t.is(fired.last_run?.exit_code, 3);
  t.is(run?.exit_code, 3);
  t.is(run?.revision, first);
  t.true(run?.stdout.startsWith(`ran on feature/rollup at ${first}\nof the branch\n`));
  t.is(run?.status, 'failed');

  const hourly = '@hourly curl -fsS http://localhost/healthz\n';
  const second = await repository.push('feature/rollup', {'.hoody/crontab': hourly});
  t.is(await controller.crontab(await controller.until('feature/rollup', active(second))), hourly);

  const reverted = await repository.push('feature/rollup', {'.hoody/crontab': everyMinute});
  t.is(await controller.crontab(await controller.until('feature/rollup', active(reverted))), everyMinute);

  const urls = deployed.container?.urls;
  const id = deployed.container?.id.slice('ctr_'.length) ?? '';
  await repository.deleteBranch('feature/rollup');
  await controller.untilForgotten('feature/rollup');
  t.is((await fetch(`${urls?.cron}/users/root/crontab`)).status, 404);
  t.false((await readdir(join(world.stateDirectory, 'containers'))).some((name) => name.includes(id)));
  t.false((await world.run('containers', 'list', '--json')).stdout.includes(id));

  const kept = await controller.runs(deployed.key);
  t.true(kept.some(({id: runId}) => runId === run?.id));
});
