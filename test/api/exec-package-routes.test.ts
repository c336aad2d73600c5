import test from 'ava';
import {execHttp} from '../helpers/exec-http.ts';
import {deploymentOf} from '../helpers/exec-world.ts';
import {npmRegistry} from '../helpers/npm-registry.ts';

const api = '/api/v1/exec';

test('a package is installed over HTTP, locked, and in reach of scripts', async (t) => {
  const registry = await npmRegistry(t);
  const {json, request, exec} = await execHttp(t);
  const {'bunfig.toml': settings = ''} = registry.project();
  await exec.deploy(deploymentOf({'bunfig.toml': settings, 'hi.ts': "return require('greet').greet('you')"}));
  t.like((await json('GET', `${api}/package/read`)).body, {packageJson: null, lockFile: null});
  t.like(
    (await json('POST', `${api}/dependencies/check`, {modules: ['greet', 'node:fs', 'bun:sqlite']})).body,
    {
      missing: {length: 1, 0: 'greet'},
    },
  );
  t.like((await json('POST', `${api}/dependencies/install`, {modules: ['greet']})).body, {
    packageJson: {dependencies: {greet: '^1.0.0'}},
    lockFile: 'bun.lock',
    installed: {greet: '1.0.0'},
  });
  t.is(await (await request('GET', '/hi')).text(), 'hello you');
  t.like((await json('POST', `${api}/dependencies/check`, {code: "import 'greet'; import 'none';"})).body, {
    missing: {length: 1, 0: 'none'},
  });
  t.like((await json('POST', `${api}/package/pin`)).body, {packageJson: {dependencies: {greet: '1.0.0'}}});
  t.like((await json('POST', `${api}/package/compare`)).body, {
    inSync: true,
    dependencies: {0: {name: 'greet', declared: '1.0.0', installed: '1.0.0'}},
  });
  t.like((await json('POST', `${api}/package/update`, {remove: ['greet']})).body, {
    packageJson: {dependencies: {}},
    installed: {},
  });
});

test('what a registry does not have changes nothing', async (t) => {
  const registry = await npmRegistry(t);
  const {json, exec} = await execHttp(t);
  const {'bunfig.toml': settings = ''} = registry.project();
  await exec.deploy(deploymentOf({'bunfig.toml': settings}));
  const digest = exec.digest();
  t.like(await json('POST', `${api}/dependencies/install`, {modules: ['no-such-package']}), {
    status: 422,
    body: {code: 'DEPENDENCIES_FAILED'},
  });
  t.is(exec.digest(), digest);
});

test('names that are no packages of a registry are refused', async (t) => {
  const {json, exec} = await execHttp(t);
  for (const module of [
    '--registry=http://evil.example',
    '-g',
    '../x',
    'file:/etc',
    'git+ssh://x/y',
    'https://evil.example/x.tgz',
    'a b',
    'a@file:../x',
    '',
    '@scope',
  ]) {
    const {status} = await json('POST', `${api}/dependencies/install`, {modules: [module]});
    t.is(status, 400, module);
  }
  t.is(exec.digest(), null);
});

test('a package.json is begun once', async (t) => {
  const {json} = await execHttp(t);
  t.like((await json('POST', `${api}/package/init`)).body, {packageJson: {name: 'scripts', private: true}});
  t.like(await json('POST', `${api}/package/init`), {status: 409, body: {code: 'SCRIPT_EXISTS'}});
  t.like((await json('POST', `${api}/package/init`, {name: 'other', force: true})).body, {
    packageJson: {name: 'other'},
  });
  t.like((await json('GET', `${api}/package/compare`)).body, {inSync: true, dependencies: {length: 0}});
});

test('what is built in is listed', async (t) => {
  const {json} = await execHttp(t);
  const {modules} = (await json('GET', `${api}/dependencies/bundled`)).body as {modules: string[]};
  for (const name of ['fs', 'bun:sqlite']) t.true(modules.includes(name), name);
});
