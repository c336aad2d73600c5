import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {bundleProgram} from '../../../runtime/platform/program-bundle.ts';

const runtimeEntry = join(import.meta.dirname, '../../../runtime/start.ts');

async function bundle(t: ExecutionContext, entry: string): Promise<Map<string, string>> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-bundle-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  await bundleProgram({entry, directory});
  const names = (await readdir(directory)).filter((name) => name.endsWith('.js'));
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const),
    ),
  );
}

test('no part of a bundled runtime loads HTTP/2', async (t) => {
  const parts = await bundle(t, runtimeEntry);
  t.deepEqual(
    [...parts].filter(([, text]) => /"(node:)?http2"/.test(text)).map(([name]) => name),
    [],
  );
});

test('what a program imports lazily stays out of its entry', async (t) => {
  const source = await mkdtemp(join(tmpdir(), 'bt-source-'));
  t.teardown(() => rm(source, {recursive: true, force: true}));
  await writeFile(join(source, 'later.ts'), 'export const words = "rarely needed";');
  const entry = join(source, 'program.ts');
  await writeFile(entry, 'if (process.argv.length > 9) console.log((await import("./later.ts")).words);');
  const parts = await bundle(t, entry);
  t.false(parts.get('program.js')?.includes('rarely needed'));
  t.true([...parts.values()].some((text) => text.includes('rarely needed')));
});
