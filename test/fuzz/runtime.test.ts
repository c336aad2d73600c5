import {lstat, mkdir, readdir, readFile, readlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {deploymentDigest, sha256Of} from '../../runtime/exec/deployment-store.ts';
import {fuzz} from '../helpers/fuzz.ts';
import {createRuntimeWorld} from '../helpers/runtime-world.ts';

interface Change {
  readonly path: string;
  readonly kind: string;
  readonly bytes: string;
  /** Added to the size that is named. */
  readonly lie: number;
}

const segment = fc.constantFrom(
  'a',
  'b',
  'link',
  'A',
  '..',
  '.',
  '',
  '.git',
  '.GIT',
  'canary',
  '.branchtab-staging-0',
  '\0',
  'ä',
  '\u202e',
  'x'.repeat(300),
  '-rf',
  '*',
  'C:',
  '\\..\\',
);
const usual = fc.constantFrom('a', 'b', 'link', 'c');
const path = fc.oneof(
  {weight: 4, arbitrary: fc.array(usual, {minLength: 1, maxLength: 3}).map((names) => names.join('/'))},
  {weight: 2, arbitrary: fc.array(segment, {minLength: 1, maxLength: 4}).map((names) => names.join('/'))},
  {
    weight: 1,
    arbitrary: fc.constantFrom('/etc/hostile', '../canary/x', 'a/../../canary/x', '/', '', '~/x', '%2e%2e/x'),
  },
);
const change: fc.Arbitrary<Change> = fc.record({
  path,
  kind: fc.oneof(
    {weight: 9, arbitrary: fc.constantFrom('file', 'executable', 'symlink', 'delete')},
    {weight: 1, arbitrary: fc.constantFrom('directory', 'device', '')},
  ),
  bytes: fc.oneof(
    fc.constantFrom('../canary', '../canary/kept', '/etc', '..', '.', 'a', '../store', 'text\n', 'a\0b'),
    fc.string({maxLength: 30}),
  ),
  lie: fc.oneof(
    {weight: 12, arbitrary: fc.constant(0)},
    {weight: 1, arbitrary: fc.integer({min: -3, max: 3})},
  ),
});
const changeSets = fc.record({
  whole: fc.boolean(),
  changes: fc.array(change, {maxLength: 6}),
  ended: fc.oneof({weight: 9, arbitrary: fc.constant(true)}, {weight: 1, arbitrary: fc.constant(false)}),
  cutAt: fc.option(fc.nat({max: 600}), {freq: 8}),
  tail: fc.constantFrom('', '', '', '', '{"end":true}\n', 'x'),
});

function bodyOf(
  base: string | null,
  target: string,
  {
    changes,
    ended,
    cutAt,
    tail,
  }: {changes: readonly Change[]; ended: boolean; cutAt: number | null; tail: string},
): Buffer {
  const line = (value: unknown) => Buffer.from(`${JSON.stringify(value)}\n`);
  const whole = Buffer.concat([
    line({base, target}),
    ...changes.flatMap(({path: name, kind, bytes, lie}) =>
      kind === 'delete'
        ? [line({path: name, kind})]
        : [line({path: name, kind, size: Buffer.byteLength(bytes) + lie}), Buffer.from(bytes)],
    ),
    ...(ended ? [line({end: true})] : []),
    Buffer.from(tail),
  ]);
  return whole.subarray(0, cutAt ?? whole.length);
}

/** Every file, link and directory below, with its content; links are not followed. */
async function snapshot(directory: string): Promise<string> {
  const lines: string[] = [];
  for (const entry of await readdir(directory, {recursive: true, withFileTypes: true})) {
    const full = join(entry.parentPath, entry.name);
    const content = entry.isSymbolicLink()
      ? await readlink(full)
      : entry.isFile()
        ? await readFile(full, 'latin1')
        : 'directory';
    lines.push(`${full} ${content}`);
  }
  return lines.sort().join('\n');
}

test('no change set writes outside of the workspace, and a taken one is there as sent', async (t) => {
  const world = await createRuntimeWorld(t);
  const canary = join(world.root, 'canary');
  const workspace = join(world.root, 'workspace');
  await mkdir(canary);
  await writeFile(join(canary, 'kept'), 'kept');
  const before = await snapshot(canary);
  const around = async () => (await readdir(world.root)).sort().join();
  const rootBefore = await around();
  let tree: string | null = null;
  let count = 0;
  let taken = 0;
  await fuzz(
    t,
    fc.asyncProperty(changeSets, async (set) => {
      count += 1;
      const target = `tree-${count}`;
      const base: string | null = set.whole ? null : tree;
      const {status, text} = await world.control(
        'POST',
        '/api/v1/control/workspace',
        bodyOf(base, target, set),
      );
      if (status !== 200 && status !== 400 && status !== 413) throw new Error(`${status} ${text}`);
      if ((await snapshot(canary)) !== before) throw new Error('the canary was touched');
      if ((await around()) !== rootBefore) throw new Error(`beside the workspace: ${await around()}`);
      const staging = (await readdir(workspace)).filter((name) => name.startsWith('.branchtab-staging-'));
      if (staging.length > 0) throw new Error(`left behind: ${staging}`);
      const state = JSON.parse((await world.control('GET', '/api/v1/control')).text) as {
        workspace: {tree: string | null};
      };
      if (state.workspace.tree !== (status === 200 ? target : tree))
        throw new Error(`tree ${state.workspace.tree} after ${status} ${text}`);
      if (status !== 200) return;
      tree = target;
      taken += 1;
      for (const {path: name, kind, bytes} of set.changes) {
        const full = join(workspace, name);
        if (kind === 'delete') continue;
        const stats = await lstat(full);
        const content = kind === 'symlink' ? await readlink(full) : await readFile(full, 'utf8');
        if (kind === 'symlink' ? !stats.isSymbolicLink() : !stats.isFile())
          throw new Error(`${name} is no ${kind}`);
        if (content !== bytes) throw new Error(`${name} holds ${content}`);
      }
    }),
    {runs: 400, stateful: true},
  );
  t.true(taken > 0);
});

test('no deployment writes outside of the scripts, and a refused one changes nothing', async (t) => {
  const world = await createRuntimeWorld(t);
  const canary = join(world.root, 'canary');
  await mkdir(canary);
  await writeFile(join(canary, 'kept'), 'kept');
  const before = await snapshot(canary);
  const rootBefore = (await readdir(world.root)).sort().join();
  const storeBefore = (await readdir(join(world.root, 'store'))).sort().join();
  const execBefore = (await readdir(join(world.root, 'store/exec'))).sort().join();
  const scripts = fc.record({
    files: fc.array(
      fc.record({
        path: fc.oneof(
          path,
          path.map((name) => `${name}.ts`),
        ),
        text: fc.constantFrom('return 1;', 'return {', '', 'ä'),
      }),
      {maxLength: 5},
    ),
    withhold: fc.boolean(),
    hash: fc.constantFrom('right', 'right', 'right', 'wrong'),
    digest: fc.constantFrom('right', 'right', 'right', 'wrong', '../../x'),
    content: fc.constantFrom('right', 'right', 'right', 'other', '!!!!'),
  });
  let digest: string | null = null;
  let taken = 0;
  await fuzz(
    t,
    fc.asyncProperty(scripts, async ({files: wanted, withhold, hash, digest: digestKind, content}) => {
      const files = wanted.map(({path: name, text}) => ({
        path: name,
        sha256: hash === 'right' ? sha256Of(text) : sha256Of(`${text}?`),
      }));
      const right = deploymentDigest(files);
      const contents = Object.fromEntries(
        withhold
          ? []
          : wanted.map(({text}, index) => [
              files[index]?.sha256 ?? '',
              content === 'right'
                ? Buffer.from(text).toString('base64')
                : content === 'other'
                  ? 'b3RoZXI='
                  : content,
            ]),
      );
      const sent = digestKind === 'right' ? right : digestKind === 'wrong' ? '0'.repeat(64) : digestKind;
      const {status, text} = await world.control(
        'PUT',
        '/api/v1/exec/deployments',
        JSON.stringify({digest: sent, files, contents}),
      );
      if (![200, 400, 409].includes(status)) throw new Error(`${status} ${text} ${JSON.stringify(wanted)}`);
      if (status === 200) {
        taken += 1;
        digest = sent;
      }
      if ((await snapshot(canary)) !== before) throw new Error('the canary was touched');
      for (const [directory, names] of [
        ['', rootBefore],
        ['store', storeBefore],
        ['store/exec', execBefore],
      ] as const) {
        const now = (await readdir(join(world.root, directory))).sort().join();
        if (now !== names) throw new Error(`in ${directory}: ${now}`);
      }
      const state = JSON.parse((await world.control('GET', '/api/v1/control')).text) as {
        deployment: {digest: string | null};
      };
      if (state.deployment.digest !== digest)
        throw new Error(`digest ${state.deployment.digest} after ${status}`);
    }),
    {runs: 300, stateful: true},
  );
  t.true(taken > 0);
});

test('no body and no path makes a control route fail by itself', async (t) => {
  const world = await createRuntimeWorld(t);
  const routes = fc.constantFrom(
    '/api/v1/control',
    '/api/v1/control/schedule',
    '/api/v1/control/environment',
    '/api/v1/control/jobs/stop',
    '/api/v1/exec/deployments',
    '/api/v1/exec/scripts/write',
    '/api/v1/exec/scripts/read?path=%00',
    '/api/v1/exec/scripts/list?dir=..%2f..',
    '/api/v1/cron/users/root/crontab',
    '/api/v1/cron/users/%00/crontab',
    '/api/v1/cron/users/..%2f..%2fx/crontab',
    '/users/root/entries/%ff',
    '/preview?schedule=%ff&count=1e9',
    '/users/root/runs?cursor=%00&limit=-1',
  );
  const json = fc.oneof(
    fc.json(),
    fc.constantFrom(
      '',
      '{',
      'null',
      '[]',
      '{"state":"running","reason":1}',
      '{"revision":null,"variables":{"__proto__":"x"}}',
      '{"path":"../x.ts","content":"x"}',
      '{"path":"__proto__.ts","content":"return 1"}',
      '"\ud800"',
    ),
    fc.string({unit: 'binary', maxLength: 200}),
  );
  await fuzz(
    t,
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH'),
      routes,
      json,
      async (method, target, body) => {
        const {status, text} = await world.control(method, target, body);
        if (status >= 200 && status < 500) return;
        throw new Error(`${method} ${target} ${JSON.stringify(body)}: ${status} ${text}`);
      },
    ),
    {runs: 500},
  );
  t.is((await world.control('GET', '/healthz')).status, 200);
});
