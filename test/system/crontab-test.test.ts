import test from 'ava';
import {createCommandWorld} from '../helpers/command-world.ts';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const crontab = (rollup: string) => `# branchtab: name=backup
30 2 * * * true
# branchtab: name=rollup
${rollup} * * * true
`;
const assertions = `version: 1
assertions:
  - job: backup
    never_within: 30m
    of: rollup
    because: both lock the database
`;

test('a failing assertion stalls the branch, and plan says it before', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const good = await repository.commit('main', {
    '.hoody/crontab': crontab('15 4'),
    '.hoody/crontab.test.yaml': assertions,
  });
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', active(good));

  await repository.git('branch', 'feature/early', good);
  const bad = await repository.commit('feature/early', {'.hoody/crontab': crontab('45 2')});
  const planned = await (await createCommandWorld(t)).run([
    'plan',
    '--repo',
    repository.path,
    '--head',
    'feature/early',
  ]);
  t.is(planned.code, 1);
  t.regex(
    planned.stdout,
    /\.hoody\/crontab\.test\.yaml:3:5 .*never to be within 30m \(both lock the database\)/,
  );
  const stalled = await controller.until(
    'feature/early',
    (branch) => branch.revision === bad && isTrue(branch, 'Stalled'),
  );
  t.like(stalled.conditions.find(({type}) => type === 'Stalled')?.issues?.[0], {
    file: '.hoody/crontab.test.yaml',
    line: 3,
    column: 5,
    code: 'assertion_failed',
  });
  const fixed = await repository.commit('feature/early', {'.hoody/crontab': crontab('15 3')});
  await controller.until('feature/early', active(fixed));
});
