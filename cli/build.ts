/**
 * `npm run build`: compiles the command line to the single file `dist/branchtab`, or to the path that is given.
 * `--arch arm64` or `--arch x64` builds for the other kind of machine, with what npm has for it.
 */
import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {parseArgs, promisify} from 'node:util';
import packageJson from '../package.json' with {type: 'json'};
import {compileProgram, type ForeignMachine} from '../runtime/platform/program-bundle.ts';
import {checkoutCommit} from './build-commit.ts';

const run = promisify(execFile);
const machines = {
  x64: {bun: '@oven/bun-linux-x64', parser: 'linux-x64-gnu'},
  arm64: {bun: '@oven/bun-linux-aarch64', parser: 'linux-arm64-gnu'},
} as const;

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {arch: {type: 'string', default: process.arch}},
});
const {arch} = values;
if (arch !== 'x64' && arch !== 'arm64') throw new Error(`--arch is x64 or arm64, not ${arch}`);
const foreign = arch !== process.arch;
const outfile = resolve(
  positionals[0] ?? join(import.meta.dirname, '../dist', foreign ? `branchtab-linux-${arch}` : 'branchtab'),
);
await mkdir(dirname(outfile), {recursive: true});
const temporary = await mkdtemp(join(tmpdir(), 'branchtab-parts-'));
try {
  await compileProgram({
    entry: join(import.meta.dirname, 'main.ts'),
    outfile,
    commit: await checkoutCommit(join(import.meta.dirname, '..')),
    foreign: foreign ? await fetchMachine(arch) : null,
  });
} finally {
  await rm(temporary, {recursive: true, force: true});
}
console.log(outfile);

async function fetchMachine(name: keyof typeof machines): Promise<ForeignMachine> {
  const {bun, parser} = machines[name];
  const bunDirectory = await fetchPackage(bun, packageJson.dependencies.bun);
  const parserDirectory = await fetchPackage(
    `@oxc-parser/binding-${parser}`,
    packageJson.dependencies['oxc-parser'],
  );
  return {
    target: `bun-linux-${name}`,
    bunPath: join(bunDirectory, 'bin/bun'),
    parserBindingPath: join(parserDirectory, `parser.${parser}.node`),
  };
}

/** `npm pack`, since `npm install` leaves out what is for another machine. */
async function fetchPackage(name: string, version: string): Promise<string> {
  const directory = await mkdtemp(join(temporary, 'package-'));
  const {stdout} = await run(
    'npm',
    ['pack', '--silent', '--pack-destination', directory, `${name}@${version}`],
    {
      cwd: directory,
    },
  );
  await run('tar', ['-xzf', join(directory, stdout.trim()), '-C', directory]);
  return join(directory, 'package');
}
