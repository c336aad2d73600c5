import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, rename, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';

const checkout = join(import.meta.dirname, '../..');
const cache = join(checkout, 'node_modules/.cache/branchtab-test');
const sources = ['api', 'cli', 'reconciler', 'runtime', 'schemas'];
/** Another run of the tests may still start an older one. */
const keptMs = 3_600_000;

/**
 * The path of the single file, built anew when a source or a package changed since the last run. Tests start it some thousand
 * times, and it needs half of the processor's time of a start from the sources.
 */
export async function builtProgram(): Promise<string> {
  const directory = join(cache, await sourcesHash());
  const program = join(directory, 'branchtab');
  if ((await ageMs(program)) !== null) return program;
  const making = `${directory}.${process.pid}`;
  await mkdir(making, {recursive: true});
  const build = Bun.spawn({
    cmd: [process.execPath, 'cli/build.ts', join(making, 'branchtab')],
    cwd: checkout,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  });
  if ((await build.exited) !== 0) throw new Error('the program that the tests start could not be built');
  // Another run may be first; what it built is the same.
  await rename(making, directory).catch(() => rm(making, {recursive: true}));
  for (const name of await readdir(cache))
    if (((await ageMs(join(cache, name))) ?? 0) > keptMs)
      await rm(join(cache, name), {recursive: true, force: true});
  return program;
}

async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256').update(Bun.revision);
  const names = await Array.fromAsync(new Bun.Glob(`{${sources.join(',')}}/**/*`).scan({cwd: checkout}));
  for (const name of ['package.json', 'package-lock.json', ...names.toSorted()])
    hash.update(`\0${name}\0`).update(await readFile(join(checkout, name)));
  return hash.digest('hex').slice(0, 16);
}

async function ageMs(path: string): Promise<number | null> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch {
    return null;
  }
}
