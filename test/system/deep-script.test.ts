import test from 'ava';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

test('a script that would bring the parser down stalls its branch and nothing else', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path);
  const bad = await repository.commit('topic', {
    '.hoody/exec/deep.ts': `${'('.repeat(200_000)}1${')'.repeat(200_000)}`,
  });
  const stalled = await controller.until(
    'topic',
    (branch) => branch.revision === bad && isTrue(branch, 'Stalled') && !isTrue(branch, 'Reconciling'),
  );
  const [issue] = stalled.conditions.find(({type}) => type === 'Stalled')?.issues ?? [];
  t.like(issue, {file: '.hoody/exec/deep.ts', line: 1, column: 1, code: 'script_unparsable'});
  const good = await repository.commit('main', {'.hoody/exec/hello.ts': 'return 2'});
  t.truthy(await controller.until('main', active(good)));
});
