import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const hourly = '0 * * * * true\n';
const byHand = '15 * * * * echo by hand\n';

async function putCrontab(branch: Branch): Promise<void> {
  await fetch(`${branch.container?.urls.cron}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: byHand,
  });
}

const ready = (reason: string) => (branch: Branch) =>
  branch.conditions.some((condition) => condition.type === 'Ready' && condition.reason === reason);

test('each repository has its own drift, undo window and intervals, the others those of the top', async (t) => {
  const world = await createControllerWorld(t);
  const [strict, loose] = [await createGitWorld(t, {bare: true}), await createGitWorld(t, {bare: true})];
  const commits = {
    strict: await strict.commit('strict', {'.hoody/crontab': hourly}),
    strictPreview: await strict.commit('strict-preview', {'.hoody/crontab': hourly}, 'p', {from: 'strict'}),
    loose: await loose.commit('loose', {'.hoody/crontab': hourly}),
    loosePreview: await loose.commit('loose-preview', {'.hoody/crontab': hourly}, 'p', {from: 'loose'}),
  };
  const config = join(strict.directory, 'branchtab.yaml');
  const write = (ofLoose: object) =>
    writeFile(
      config,
      JSON.stringify({
        repositories: [
          {repository: strict.path, live: 'strict'},
          {repository: loose.path, live: 'loose', ...ofLoose},
        ],
        poll_interval: '2s',
      }),
    );
  await write({drift: 'report', undo_window: '0', poll_interval: '1s', drift_interval: '1s'});
  const controller = await world.up('--config', config, '--yes');
  const inStrict = await controller.until('strict', active(commits.strict));
  const inLoose = await controller.until('loose', active(commits.loose));
  await controller.until('strict-preview', active(commits.strictPreview));
  await controller.until('loose-preview', active(commits.loosePreview));
  const intervals = (await controller.client.repositories()).map(({repository, interval_ms}) => [
    repository,
    interval_ms,
  ]);
  t.deepEqual(
    new Map(intervals as [string, number][]),
    new Map([
      [strict.path, 2000],
      [loose.path, 1000],
    ]),
  );

  await putCrontab(inLoose);
  await controller.until('loose', ready('drifted'));
  await putCrontab(inStrict);
  await controller.until('strict', ({history}) => history.some(({message}) => /Put back/.test(message)));
  t.is(await controller.crontab(inStrict), hourly);
  t.is(await controller.crontab(inLoose), byHand);

  await strict.deleteBranch('strict-preview');
  await loose.deleteBranch('loose-preview');
  await controller.untilForgotten('loose-preview');
  await controller.until('strict-preview', ready('trashed'));

  await write({drift: 'report', undo_window: '2d', poll_interval: '1s'});
  t.deepEqual((await controller.reload()).changes, [`${loose.path}: undo window 2d, looked at every 1s.`]);
});
