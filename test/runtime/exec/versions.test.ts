import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {keptVersions, openDeploymentStore} from '../../../runtime/exec/deployment-store.ts';
import {AppError} from '../../../schemas/errors.ts';
import {execHttp} from '../../helpers/exec-http.ts';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

const old = 'a'.repeat(40);
const young = 'b'.repeat(40);
const versionOf = (commit: string, answer: string) =>
  deploymentOf({'rollup.ts': `return {${answer}, commit: process.env.HOODY_COMMIT ?? null}`}, {commit});

test('a pinned URL answers with the scripts of its commit beside the present ones', async (t) => {
  const {exec, call, variables} = await execWorld(t);
  variables.HOODY_COMMIT = young;
  await exec.deploy(versionOf(old, 'answer: "old"'));
  await exec.deploy(versionOf(young, 'answer: "young"'));
  t.deepEqual(await (await call('/rollup')).json(), {answer: 'young', commit: young});
  t.deepEqual(await (await call(`/@${old}/rollup`)).json(), {answer: 'old', commit: old});
  t.deepEqual(await (await call('/@aaaaaaa/scripts/rollup/run')).json(), {answer: 'old', commit: old});
  t.deepEqual(await (await call('/rollup')).json(), {answer: 'young', commit: young});
});

test('a script does not see the pin in its path and query', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({'x.ts': 'return [req.url, metadata.path, metadata.query.a]'}, {commit: old}),
  );
  t.deepEqual(await (await call(`/@${old}/x?a=1`)).json(), ['/x?a=1', '/x', '1']);
});

test('a commit that is not kept says so', async (t) => {
  const {exec, json} = await execHttp(t);
  await exec.deploy(versionOf(old, 'a: 1'));
  t.like(await json('GET', '/@1234567/rollup'), {status: 404, body: {code: 'VERSION_NOT_FOUND'}});
  t.like(await json('GET', `/@${old}/_hoody/repository/x`), {status: 403, body: {code: 'PATH_EXCLUDED'}});
});

test('rolling back makes a kept version the present one', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(versionOf(old, 'answer: 1'));
  await exec.deploy(versionOf(young, 'answer: 2'));
  await exec.rollBack({commit: old.slice(0, 7)});
  t.like(await (await call('/rollup')).json(), {answer: 1});
  t.is(exec.commit(), old);
  t.deepEqual(
    exec.versions().map(({commit, current}) => [commit, current]),
    [
      [old, true],
      [young, false],
    ],
  );
  const error = await t.throwsAsync(exec.rollBack({digest: '0'.repeat(64)}), {instanceOf: AppError});
  t.is(error?.code, 'VERSION_NOT_FOUND');
});

test('the same scripts under a new commit keep their host and get its name', async (t) => {
  const {exec, call} = await execWorld(t);
  const texts = {'pid.ts': 'return process.pid'};
  await exec.deploy(deploymentOf(texts, {commit: old}));
  const pid = await (await call('/pid')).text();
  await exec.deploy(deploymentOf(texts, {commit: young}));
  t.is(await (await call('/pid')).text(), pid);
  t.is(exec.commit(), young);
  t.is(await (await call(`/@${old}/pid`)).text().then(Number).then(Number.isInteger), true);
});

test(`${keptVersions} versions are kept, also over a restart, and older ones leave nothing behind`, async (t) => {
  const {exec, directory} = await execWorld(t);
  const commits = Array.from({length: keptVersions + 3}, (_, index) => String(index).padStart(40, '0'));
  for (const commit of commits) await exec.deploy(versionOf(commit, `n: "${commit}"`));
  const restarted = await openDeploymentStore(join(directory, 'exec/scripts'));
  for (const versions of [exec.versions(), restarted.versions()]) {
    t.deepEqual(
      versions.map(({commit}) => commit),
      commits.slice(3).reverse(),
    );
  }
  const left = readdirSync(join(directory, 'exec/scripts')).filter((name) => /^[0-9a-f]{16}$/.test(name));
  t.is(left.length, keptVersions);
});

test('what was kept needs not be sent again', async (t) => {
  const {exec} = await execWorld(t);
  const first = versionOf(old, 'a: 1');
  await exec.deploy(first);
  await exec.deploy(versionOf(young, 'a: 2'));
  await exec.deploy({...first, contents: {}});
  t.is(exec.digest(), first.digest);
});

test('a manifest gives a file outside of the scripts a route, a time and methods', async (t) => {
  const {exec, json} = await execHttp(t);
  const file = '_hoody/repository/src/jobs/daily.ts';
  await exec.deploy(
    deploymentOf(
      {
        [file]: "import {day} from '../day.ts';\nreturn {day: day(metadata.parameters.day)};",
        '_hoody/repository/src/day.ts': 'export const day = (text: string) => text.toUpperCase();',
        'forever.ts': 'await new Promise(() => {})',
      },
      {
        mounts: [
          {path: 'reports/[day]', file, settings: {methods: ['GET']}},
          {path: 'forever', file: 'forever.ts', settings: {timeout_ms: 50}},
        ],
      },
    ),
  );
  t.deepEqual((await json('GET', '/reports/monday')).body, {day: 'MONDAY'});
  t.like(await json('POST', '/reports/monday'), {status: 405, body: {code: 'METHOD_NOT_ALLOWED'}});
  t.like(await json('GET', '/forever'), {status: 504, body: {code: 'SCRIPT_TIMEOUT'}});
  t.like(await json('GET', `/${file.replace('.ts', '')}`), {status: 403, body: {code: 'PATH_EXCLUDED'}});
  t.deepEqual(
    (await exec.list({directory: '', recursive: true})).scripts.map(({path}) => path),
    ['forever.ts'],
  );
});

test('a manifest lets so many calls of its script in at the same time', async (t) => {
  const {exec, call} = await execWorld(t);
  const text = `shared.now = (shared.now ?? 0) + 1;
    const seen = shared.now;
    await Bun.sleep(20);
    shared.now -= 1;
    return seen;`;
  await exec.deploy(
    deploymentOf(
      {'counts.ts': text},
      {mounts: [{path: 'single', file: 'counts.ts', settings: {concurrency: 1}}]},
    ),
  );
  const seen = await Promise.all([1, 2, 3].map(async () => (await call('/single')).json()));
  t.deepEqual(seen, [1, 1, 1]);
});

test('a manifest that says warm has the host started with the deployment', async (t) => {
  const {exec} = await execWorld(t);
  await exec.deploy(
    deploymentOf({'a.ts': 'return 1'}, {mounts: [{path: 'b', file: 'a.ts', settings: {warm: true}}]}),
  );
  t.is((await exec.management()).hosts.restartStatus().hosts, 1);
});

test('a mount of a file that is not there is refused', async (t) => {
  const {exec, directory} = await execWorld(t);
  const deployment = deploymentOf({'a.ts': ''}, {mounts: [{path: 'b', file: 'b.ts', settings: {}}]});
  const error = await t.throwsAsync(exec.deploy(deployment), {instanceOf: AppError});
  t.is(error?.code, 'INVALID_BODY');
  t.false(existsSync(join(directory, 'exec/scripts/current.json')));
});
