import {mkdir, mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {createDataArchive} from '../../runtime/storage/data-archive.ts';
import {tarEnd, tarFill, tarHead} from '../../runtime/storage/tar.ts';
import {archiveManifestName} from '../../schemas/data-archive.ts';
import {AppError} from '../../schemas/errors.ts';
import {fuzz} from '../helpers/fuzz.ts';

const name = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'a/b',
    'a/b/c',
    '..',
    '../outside/x',
    '/etc/x',
    'a/../../outside/x',
    '',
    '.',
    'a//b',
    archiveManifestName,
  ),
  fc.string({unit: 'binary', maxLength: 120}),
);
const member = fc
  .record({
    path: name,
    kind: fc.constantFrom('file' as const, 'directory' as const, 'link' as const),
    target: fc.constantFrom('../outside', '/etc', 'a', '..', 'x'.repeat(300)),
    text: fc.string({maxLength: 700}),
    mode: fc.integer({min: 0, max: 0o7777}),
    size: fc.option(fc.integer({min: 0, max: 5000}), {nil: undefined, freq: 8}),
  })
  .map(({path, kind, target, text, mode, size}) => {
    const content = kind === 'file' ? Buffer.from(text) : Buffer.alloc(0);
    const head = {path, kind, mode, uid: 0, gid: 0, modifiedMs: 0, size: size ?? content.length, target};
    return Buffer.concat([tarHead(head), content, tarFill(content.length)]);
  });
const manifest = Buffer.concat([
  tarHead({
    path: archiveManifestName,
    kind: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    modifiedMs: 0,
    size: 2,
    target: '',
  }),
  Buffer.from('{}'),
  tarFill(2),
  tarEnd,
]);
const archive = fc
  .tuple(
    fc.array(member, {maxLength: 6}),
    fc.constantFrom(manifest, Buffer.alloc(0), tarEnd),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), {maxLength: 3}),
  )
  .map(([members, end, flips]) => {
    const bytes = Buffer.concat([...members, end]);
    for (const [at, value] of flips) if (bytes.length > 0 && value > 128) bytes[at % bytes.length] = value;
    return bytes;
  });

test('whatever an archive holds, it is refused in our words or unpacked, and nothing lies outside', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'fuzz-data-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const root = join(directory, 'data');
  await mkdir(root);
  await mkdir(join(directory, 'outside'));
  const command = ownCommand(resolve('runtime/start.ts'));
  const {replace} = createDataArchive({
    root,
    directory: join(directory, 'work'),
    command,
    clock: systemClock,
  });
  await fuzz(
    t,
    fc.asyncProperty(archive, async (bytes) => {
      const refusal = await replace(new Blob([bytes]).stream()).then(
        () => null,
        (error: unknown) => error,
      );
      if (refusal !== null && !(refusal instanceof AppError && refusal.status < 500)) throw refusal;
      t.deepEqual(await readdir(join(directory, 'outside')), []);
      t.deepEqual((await readdir(directory)).sort(), ['data', 'outside']);
      t.deepEqual(
        (await readdir(root)).filter((entry) => entry.startsWith('.branchtab-')),
        [],
      );
    }),
    {runs: 300},
  );
});
