import test from 'ava';
import {scheduleChangeSchema} from '../../schemas/schedule-change.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('with a controller, plan says what really runs of the base', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const first = await repository.commit('main', {'.hoody/crontab': '0 * * * * true\n@daily gone\n'});
  await repository.commit('f', {'.hoody/crontab': '0 * * * * true\n0 5 * * * new\n'});
  const flags = ['--repo', repository.path];
  const planned = ['plan', ...flags, '--head', 'f'];
  const alone = scheduleChangeSchema.parse(JSON.parse((await world.run(...planned, '--json')).stdout));
  t.is(alone.running, null);
  const refused = await world.run(...planned, '--controller', 'http://127.0.0.1:9');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /BRANCHTAB_TOKEN/);

  const controller = await world.up(...flags);
  const branch = await controller.until('main', active(first));
  t.is((await world.run('keep', 'main', '--for', '1h')).code, 0);
  const cron = branch.container?.urls.cron;
  const put = await fetch(`${cron}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: '0 * * * * true\n30 4 * * * by hand\n',
  });
  t.is(put.status, 200);
  const post = await fetch(`${cron}/users/root/entries`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({schedule: '0 9 * * *', command: 'true'}),
  });
  t.is(post.status, 201);
  const change = scheduleChangeSchema.parse(JSON.parse((await world.run(...planned, '--json')).stdout));
  t.like(change.running, {branch: 'main', revision: first, entries: 1});
  t.deepEqual(change.running?.differs, [
    {what: 'added', job: '30 4 * * * by hand'},
    {what: 'removed', job: '@daily gone'},
  ]);
  // The plan itself is that of the commits.
  t.deepEqual(
    change.added.map(({command}) => command),
    ['new'],
  );
  const {stdout} = await world.run(...planned);
  t.regex(stdout, /running main added by hand: 30 4 \* \* \* by hand/);
  t.regex(stdout, /running main has 1 entry of the API beside, which stays/);
});
