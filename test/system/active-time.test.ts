import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('the time until a commit was active stays as it was when drift of that commit is healed later', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('main', {'.hoody/crontab': '0 * * * * true\n'});
  const before = await controller.until('main', active(commit));
  t.not(before.active_ms, null);
  const edited = await fetch(`${before.container?.urls.cron}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: '1 * * * * true\n',
  });
  t.is(edited.status, 200);
  const after = await controller.until(
    'main',
    ({history, plan}) => plan.length === 0 && history[0]?.message.includes('changed by hand') === true,
  );
  t.is(after.active_ms, before.active_ms);
});
