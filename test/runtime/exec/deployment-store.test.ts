import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openDeploymentStore} from '../../../runtime/exec/deployment-store.ts';
import {AppError} from '../../../schemas/errors.ts';
import {deploymentOf} from '../../helpers/exec-world.ts';

function setup(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'bt-deployments-'));
  t.teardown(() => rmSync(root, {recursive: true, force: true}));
  return {root, open: () => openDeploymentStore(root)};
}

test('a deployment survives a restart', async (t) => {
  const {open} = setup(t);
  const deployment = deploymentOf({'a.ts': 'return 1', 'lib/b.ts': 'export const b = 2'});
  const {directory} = await (await open()).deploy(() => deployment);
  const again = (await open()).current();
  t.is(again?.digest, deployment.digest);
  t.is(readFileSync(join(directory, 'lib/b.ts'), 'utf8'), 'export const b = 2');
});

test('contents that are here need not be sent; others are listed', async (t) => {
  const {open} = setup(t);
  const store = await open();
  await store.deploy(() => deploymentOf({'a.ts': 'one'}));
  const next = deploymentOf({'b.ts': 'one', 'c.ts': 'two'});
  const missing = next.files.filter(({path}) => path === 'c.ts').map(({sha256}) => sha256);
  const error = await t.throwsAsync(
    store.deploy(() => ({...next, contents: {}})),
    {instanceOf: AppError},
  );
  t.is(error?.code, 'BLOBS_MISSING');
  t.deepEqual(error?.details, {missing});
  const {directory} = await store.deploy(() => next);
  t.is(readFileSync(join(directory, 'b.ts'), 'utf8'), 'one');
});

test('a file that was changed behind our back counts as missing', async (t) => {
  const {open} = setup(t);
  const store = await open();
  const {directory} = await store.deploy(() => deploymentOf({'a.ts': 'one'}));
  writeFileSync(join(directory, 'a.ts'), 'other');
  const renamed = {...deploymentOf({'b.ts': 'one'}), contents: {}};
  const error = await t.throwsAsync(
    store.deploy(() => renamed),
    {instanceOf: AppError},
  );
  t.is(error?.code, 'BLOBS_MISSING');
});

test('an empty set is a deployment', async (t) => {
  const {open} = setup(t);
  const store = await open();
  await store.deploy(() => deploymentOf({'a.ts': 'one'}));
  t.deepEqual((await store.deploy(() => deploymentOf({}))).files, []);
});

const good = deploymentOf({'a.ts': 'one'});
const refused: Record<string, () => typeof good> = {
  'a wrong digest': () => ({...good, digest: '0'.repeat(64)}),
  'contents with another hash': () => ({
    ...good,
    contents: Object.fromEntries(good.files.map(({sha256}) => [sha256, 'eA=='])),
  }),
  'a path that leaves the directory': () => deploymentOf({'../a.ts': 'one'}),
  'an absolute path': () => deploymentOf({'/a.ts': 'one'}),
  'a file below a file': () => deploymentOf({a: 'one', 'a/b.ts': 'two'}),
  'a path named twice': () => ({...good, files: [...good.files, ...good.files]}),
};
for (const [what, deployment] of Object.entries(refused)) {
  test(`refuses ${what} and keeps the old set`, async (t) => {
    const {open} = setup(t);
    const store = await open();
    const kept = await store.deploy(() => deploymentOf({'kept.ts': 'old'}));
    await t.throwsAsync(store.deploy(deployment));
    t.is((await open()).current()?.digest, kept.digest);
  });
}
