import test from 'ava';
import {systemClock} from '../../runtime/platform/clock.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {wrongMinutes} from '../helpers/due-minutes.ts';
import {createPushWorld} from '../helpers/git-world.ts';

const minutely = '* * * * * echo at $HOODY_COMMIT\n';
const durationMs = 3 * 60_000 + 10_000;
const killEveryMs = 17_000;

test('under pushes every second and killed controllers every due minute has one record, on every branch', async (t) => {
  t.timeout(durationMs + 240_000);
  const world = await createControllerWorld(t);
  const repository = await createPushWorld(t, {fixture: 'simple'});
  const up = () => world.up('--repo', repository.origin.path, '--undo-window', '0');
  let controller = await up();
  const names = ['switched', 'steady/1', 'steady/2', 'steady/3', 'steady/4'];
  const since = new Map<string, number>();
  for (const name of names) {
    const commit = await repository.push(name, {'.hoody/crontab': minutely, 'data.txt': '0'});
    await controller.until(name, active(commit));
    since.set(name, Date.now());
  }

  const endMs = Date.now() + durationMs;
  let killAtMs = Date.now() + killEveryMs;
  let commit = '';
  let kills = 0;
  for (let round = 1; Date.now() < endMs; round += 1) {
    const others = ['', '0 * * * * true\n', '# a remark\n', `${round % 60} 3 * * * true\n`][round % 4] ?? '';
    commit = await repository.push('switched', {
      '.hoody/crontab': round % 2 === 0 ? minutely + others : others + minutely,
      '.hoody/exec/round.ts': `return ${round};\n`,
      'data.txt': String(round),
    });
    if (Date.now() > killAtMs) {
      await controller.kill();
      controller = await up();
      kills += 1;
      killAtMs = Date.now() + killEveryMs;
    }
    await systemClock.sleep(1000);
  }
  const switched = await controller.until('switched', active(commit));
  t.true(kills >= 8, `${kills} kills`);
  const call = await fetch(`${switched.container?.urls.exec}/round`);
  t.is(call.status, 200);
  for (const name of names) {
    const runs = await controller.runs(name);
    t.deepEqual(wrongMinutes(runs, 'echo at', since.get(name) ?? 0, Date.now()), [], name);
    t.true(runs.filter(({status}) => status === 'succeeded').length >= 3, name);
  }
});
