import {mkdtemp, readdir, readFile, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {parse} from 'yaml';
import {gitHubWorkflow} from '../../../cli/github-workflow.ts';
import {bundle} from '../../helpers/action-world.ts';
import {checkout, createCommandWorld} from '../../helpers/command-world.ts';
import {lintWorkflow} from '../../helpers/workflow-lint.ts';

const mostBundleBytes = 1.5 * 1024 * 1024;

test('the committed bundle is the one that the sources make', async (t) => {
  t.timeout(120_000);
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-bundle-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const world = await createCommandWorld(t);
  const own = join(directory, 'index.mjs');
  const built = world.start([process.execPath, join(checkout, 'cli/build-action.ts'), own]);
  t.is(await built.exited, 0, built.stderr());
  const [committed, made] = await Promise.all([readFile(bundle), readFile(own)]);
  t.true(committed.equals(made), 'sources of the Action changed since it was bundled; run: npm run generate');
});

test('the bundle is one file below 1.5 MB that needs nothing to be installed', async (t) => {
  t.deepEqual(await readdir(join(bundle, '..')), ['index.mjs']);
  t.true((await stat(bundle)).size < mostBundleBytes);
  const text = await readFile(bundle, 'utf8');
  const imports = [...text.matchAll(/(?:\bfrom|\bimport|\brequire\()\s*"([^"]+)"/g)].map(
    ([, name = '']) => name,
  );
  t.true(imports.length > 0);
  t.deepEqual(
    imports.filter((name) => !/^(?:node:)?[a-z_]+(?:\/promises)?$/.test(name)),
    [],
  );
});

test('action.yml names what the code reads and writes, and linters find nothing in it', async (t) => {
  const text = await readFile(join(bundle, '../../action.yml'), 'utf8');
  t.deepEqual(await lintWorkflow('.github/actions/deploy/action.yml', text), []);
  const {inputs, outputs, runs} = parse(text) as Record<'inputs' | 'outputs', object> & {runs: object};
  t.deepEqual(runs, {using: 'node24', main: 'dist/index.mjs'});
  const sources = await Promise.all(
    (await readdir(join(checkout, 'cli/action'))).map((name) =>
      readFile(join(checkout, 'cli/action', name), 'utf8'),
    ),
  );
  const named = (pattern: RegExp) =>
    new Set(sources.flatMap((source) => [...source.matchAll(pattern)].map(([, name = '']) => name)));
  t.deepEqual([...named(/\b(?:input|text)\('([a-z-]+)'\)/g)].sort(), Object.keys(inputs).sort());
  const urls = ['cron', 'exec', 'pipe', 'notifications'].map((kit) => `${kit}-url`);
  t.deepEqual([...named(/output\.set\('([a-z-]+)'/g), ...urls].sort(), Object.keys(outputs).sort());
});

test('a linter that finds nothing anywhere would be none', async (t) => {
  const broken = gitHubWorkflow({action: 'acme/branchtab@v1', controller: 'https://x'})
    .replace('runs-on', 'run-on')
    .replace("github.event_name != 'pull_request'", 'github.event_nam');
  t.true((await lintWorkflow('.github/workflows/x.yml', broken)).length >= 2);
  t.not((await lintWorkflow('.github/actions/x/action.yml', 'name: x\nruns: {using: node24}\n')).length, 0);
});

test('linters find nothing in the workflows that are shown, and these give the Action only what it takes', async (t) => {
  const directory = join(checkout, 'fixtures/workflows');
  const names = await readdir(directory);
  t.true(names.length >= 4);
  const {inputs} = parse(await readFile(join(bundle, '../../action.yml'), 'utf8')) as {inputs: object};
  for (const name of names) {
    const text = await readFile(join(directory, name), 'utf8');
    t.deepEqual(await lintWorkflow(`.github/workflows/${name}`, text), [], name);
    const {jobs} = parse(text) as {jobs: Record<string, {steps: {uses?: string; with?: object}[]}>};
    const ours = Object.values(jobs)
      .flatMap(({steps}) => steps)
      .filter(({uses}) => uses?.startsWith('acme/branchtab/.github/actions/deploy@'));
    t.true(ours.length > 0, name);
    for (const step of ours)
      for (const input of Object.keys(step.with ?? {})) t.true(input in inputs, `${name}: ${input}`);
  }
});
