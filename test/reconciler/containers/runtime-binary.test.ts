import {mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {installRuntime} from '../../../reconciler/containers/runtime-binary.ts';

async function checkout(t: ExecutionContext) {
  const root = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(root, {recursive: true, force: true}));
  await mkdir(join(root, 'source'));
  const entry = join(root, 'source', 'program.ts');
  await writeFile(join(root, 'source', 'answer.ts'), 'export const answer: number = 42;');
  await writeFile(
    entry,
    `import {answer} from './answer.ts'; console.log(answer, process.argv.slice(2).join(' '));`,
  );
  const source = {
    stateDirectory: join(root, 'state'),
    executable: process.execPath,
    executableRevision: Bun.revision,
    entry,
  };
  return {root, entry, source};
}

async function output(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], {env: {}, cwd, stdout: 'pipe', stderr: 'inherit'});
  return await new Response(child.stdout).text();
}

test('an installed program runs after its source is gone', async (t) => {
  const {root, source} = await checkout(t);
  const {command, directory, version} = await installRuntime(source);
  await rm(join(root, 'source'), {recursive: true});
  t.is(directory, join(root, 'state', 'bin', version));
  t.is(await output([...command, 'runtime', '--data', 'x'], root), '42 runtime --data x\n');
});

test('the same content is installed once, another beside it', async (t) => {
  const {root, entry, source} = await checkout(t);
  const [first, second] = await Promise.all([installRuntime(source), installRuntime(source)]);
  t.deepEqual(first, second);
  await writeFile(entry, 'console.log("other");');
  const third = await installRuntime(source);
  t.not(third.version, first.version);
  t.is(await output(first.command, root), '42 \n');
  t.is(await output(third.command, root), 'other\n');
  t.is((await readdir(join(root, 'state', 'bin'))).length, 2);
});

test('settings in the working directory do not reach an installed program', async (t) => {
  const {root, entry, source} = await checkout(t);
  await writeFile(entry, 'console.log(process.env.EVIL, globalThis.evil);');
  const {command} = await installRuntime(source);
  await writeFile(join(root, '.env'), 'EVIL=yes');
  await writeFile(join(root, 'bunfig.toml'), 'preload = ["./evil.ts"]');
  await writeFile(join(root, 'evil.ts'), 'globalThis.evil = true;');
  t.is(await output(command, root), 'undefined undefined\n');
});

test('a bundle finds the native script parser beside it', async (t) => {
  const {root, entry, source} = await checkout(t);
  const parser = join(import.meta.dirname, '../../../runtime/platform/script-parser.ts');
  await writeFile(
    entry,
    `import {parseScript} from ${JSON.stringify(parser)}; console.log((await parseScript('a.ts', 'let a: = 1')).errors.length);`,
  );
  const {command} = await installRuntime(source);
  t.is(await output(command, root), '1\n');
});

test('a program that is one file is installed as it is', async (t) => {
  const {root, source} = await checkout(t);
  const {command} = await installRuntime({...source, entry: null});
  t.is(command.length, 1);
  t.is(await output([...command, '--revision'], root), await output([process.execPath, '--revision'], root));
});

test('a program that does not bundle leaves nothing and says why', async (t) => {
  const {root, entry, source} = await checkout(t);
  await writeFile(entry, 'import "./missing.ts";');
  await t.throwsAsync(installRuntime(source));
  t.deepEqual(await readdir(join(root, 'state', 'bin')), []);
});
