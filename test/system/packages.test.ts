import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {levelWithHostNetwork} from '../helpers/level-available.ts';
import {npmRegistry} from '../helpers/npm-registry.ts';

test('a pushed lock file is installed before its scripts take over, and one that cannot be keeps the former', async (t) => {
  const registry = await npmRegistry(t);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const controller = await world.up('--repo', repository.path, '--level', await levelWithHostNetwork());
  const project = Object.entries(registry.project());
  const good = await repository.commit('main', {
    '.hoody/exec/scripts.yaml': 'version: 1\npackages: .\n',
    '.hoody/exec/hi.ts': "import {greet} from 'greet';\nreturn greet('branch');",
    ...Object.fromEntries(project),
  });
  const exec = (await controller.until('main', active(good))).container?.urls.exec ?? '';
  t.is(await (await fetch(`${exec}/hi`)).text(), 'hello branch');

  const bad = await repository.commit('main', {
    '.hoody/exec/hi.ts': 'return "new"',
    'package.json': JSON.stringify({dependencies: {greet: '2.0.0'}}),
  });
  const failed = await controller.until(
    'main',
    ({revision, conditions}) =>
      revision === bad && conditions.some(({message}) => message.includes('Installing the packages')),
  );
  t.is(failed.observed_revision, good);
  t.is(await (await fetch(`${exec}/hi`)).text(), 'hello branch');
});
