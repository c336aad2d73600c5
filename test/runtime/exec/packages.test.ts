import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {AppError} from '../../../schemas/errors.ts';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';
import {npmRegistry} from '../../helpers/npm-registry.ts';

const scripts = {
  'hi.ts': "import {greet} from 'greet';\nreturn greet('import');",
  'api/there.js': "module.exports = (req, res) => res.json({said: require('greet').greet('require')});",
};

test('what a lock file pins is installed on deploy, and scripts import it', async (t) => {
  const registry = await npmRegistry(t);
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({...scripts, ...registry.project()}));
  t.is(await (await call('/hi')).text(), 'hello import');
  t.deepEqual(await (await call('/api/there')).json(), {said: 'hello require'});
});

test('the same lock file is installed once', async (t) => {
  const registry = await npmRegistry(t);
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf({...scripts, ...registry.project()}));
  const before = registry.requests();
  t.true(before > 0);
  await exec.deploy(deploymentOf({...scripts, ...registry.project(), 'more.ts': 'return 1'}));
  t.is(registry.requests(), before);
  t.is(await (await call('/hi')).text(), 'hello import');
});

test('packages that cannot be installed keep the former scripts', async (t) => {
  const registry = await npmRegistry(t);
  const {exec, call, directory} = await execWorld(t);
  await exec.deploy(deploymentOf({'hi.ts': 'return "former"'}));
  const project = registry.project();
  const other = {...project, 'package.json': JSON.stringify({dependencies: {greet: '2.0.0'}})};
  const error = await t.throwsAsync(exec.deploy(deploymentOf({...scripts, ...other})), {
    instanceOf: AppError,
  });
  t.is(error?.code, 'DEPENDENCIES_FAILED');
  t.regex(error?.message ?? '', /commit the lock file/);
  t.is(await (await call('/hi')).text(), 'former');
  t.deepEqual(
    readdirSync(join(directory, 'exec/packages')).filter((name) => name !== '.cache'),
    [],
  );
});

test('without a lock file nothing is installed', async (t) => {
  const registry = await npmRegistry(t);
  const {exec, directory} = await execWorld(t);
  const {'bun.lock': _, ...unlocked} = registry.project();
  await exec.deploy(deploymentOf({...scripts, ...unlocked}));
  t.is(registry.requests(), 0);
  t.false(existsSync(join(directory, 'exec/packages')));
});
