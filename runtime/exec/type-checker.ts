import {randomBytes} from 'node:crypto';
import {dirname, join} from 'node:path';
import type {TypeReport} from '../../schemas/exec-scripts.ts';
import type {Issue} from '../../schemas/issue.ts';
import {kindOf} from '../platform/directories.ts';
import {readTextIfPresent} from '../platform/durable-file.ts';
import {mkdir, rm, symlink, writeFile} from '../platform/files.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import {runTool} from '../platform/tool-process.ts';
import type {DeploymentStore} from './deployment-store.ts';
import type {ScriptText} from './inspections.ts';
import type {ScriptInspector} from './script-inspector.ts';

/** Checks the types of a script with the compiler that the branch's packages bring; there is none of our own. */
export interface TypeChecker {
  /** Never says that types are right when it has not looked: the report says whether it did, and why not. */
  check(script: ScriptText): Promise<TypeReport>;
}

const withinMs = 60_000;
const mostIssues = 100;

/** How a body answers, and imports that are not here: the first is right in a script, the others are told as missing. */
const expectedCodes = new Set(['1108', '2307', '2792']);

/** What scripts find without importing it; what the branch's own types say of a name comes first. */
const ambientNames = [
  'req, res, metadata, shared, mainResult, ws, crypto',
  'Database, $, fs, path, Bun, Buffer, process, global, require, module, exports, __filename, __dirname',
]
  .map((names) => `declare var ${names.replaceAll(',', ': any,')}: any;\n`)
  .join('');

export function createTypeChecker({
  store,
  inspector,
  directory,
  executable,
}: {
  store: Pick<DeploymentStore, 'current'>;
  inspector: Pick<ScriptInspector, 'ask'>;
  /** For projects in the making. */
  directory: string;
  /** Bun, or a single file that has it inside. */
  executable: string;
}): TypeChecker {
  // A compiler takes much memory; two at a time would take twice as much.
  const inTurn = createSerialLock();

  async function checkIn(project: string, scripts: string, {path, text}: ScriptText): Promise<TypeReport> {
    const modules = join(scripts, 'node_modules');
    const {text: body, firstLineShift} = await inspector.ask('compile', {path, text});
    const bodyPath = path.replace(/(\.tsx?)$/, '.body$1');
    const texts = new Map([
      [path, text],
      ...(body === null ? [] : [[bodyPath, body] as const]),
      ['branchtab-names.d.ts', ambientNames],
    ]);
    await mkdir(join(project, dirname(path)), {recursive: true, mode: 0o700});
    for (const [name, content] of texts) await writeFile(join(project, name), content);
    await symlink(modules, join(project, 'node_modules'));
    const types = await Promise.all(
      ['bun', 'node'].map(async (name) => (await kindOf(join(modules, '@types', name))) !== null && name),
    );
    const ownSettings = join(scripts, 'tsconfig.json');
    const settings = {
      ...((await kindOf(ownSettings)) === 'file' ? {extends: ownSettings} : {}),
      compilerOptions: {
        noEmit: true,
        rootDirs: [project, scripts],
        module: 'ESNext',
        moduleResolution: 'bundler',
        moduleDetection: 'force',
        target: 'ESNext',
        lib: ['ESNext', 'DOM', 'DOM.Iterable'],
        types: types.filter((name) => name !== false),
        skipLibCheck: true,
        allowImportingTsExtensions: true,
        incremental: false,
        composite: false,
      },
      files: [...texts.keys()],
      include: [],
    };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(settings));
    const compiler = join(modules, 'typescript/bin/tsc');
    const result = await runTool([compiler, '-p', project, '--pretty', 'false'], {
      executable,
      directory: project,
      withinMs,
    });
    if (!result.ended) return unchecked(`The compiler ${failures[result.why]}.`);
    return reportOf(result.output, {path, bodyPath, firstLineShift, hasFailed: result.exitCode !== 0});
  }

  return {
    check: (script) =>
      inTurn(async () => {
        if (!/\.tsx?$/.test(script.path)) return unchecked('Only TypeScript has types to check.');
        const scripts = store.current()?.directory;
        const manifest = scripts === undefined ? null : join(scripts, 'node_modules/typescript/package.json');
        if (scripts === undefined || manifest === null || (await readTextIfPresent(manifest)) === null)
          return unchecked(
            'No compiler is here. Add `typescript` to the dependencies of .hoody/exec/package.json, with its lock file.',
          );
        const project = join(directory, `types.${randomBytes(6).toString('hex')}.tmp`);
        try {
          return await checkIn(project, scripts, script);
        } finally {
          await rm(project, {recursive: true, force: true});
        }
      }),
  };
}

const failures = {timed_out: `was not done after ${withinMs / 1000} s`, not_started: 'could not be started'};

function unchecked(reason: string): TypeReport {
  return {checked: false, reason: `Types were not checked. ${reason}`, errors: []};
}

/**
 * The text is looked at twice: as it stands, where the compiler leaves out what a top-level `return` answers with, and
 * as the function that it becomes, where imports stand on line 1. Together they have every error in its place.
 */
function reportOf(
  output: string,
  {
    path,
    bodyPath,
    firstLineShift,
    hasFailed,
  }: {path: string; bodyPath: string; firstLineShift: number; hasFailed: boolean},
): TypeReport {
  const found = [...output.matchAll(/^(?:(.+)\((\d+),(\d+)\): )?error TS(\d+): (.*)$/gm)].map(
    ([, file, line, column, code, message]) => ({
      file,
      line: Number(line),
      column: Number(column),
      code: code ?? '',
      message: message ?? '',
    }),
  );
  const ofProject = found.find(({file}) => file === undefined || file.endsWith('tsconfig.json'));
  if (ofProject !== undefined || (hasFailed && found.length === 0))
    return unchecked(`The compiler says: ${ofProject?.message ?? output.trim().slice(-300)}`);
  const issues = new Map<string, Issue>();
  for (const {file, line, column, code, message} of found) {
    if (expectedCodes.has(code)) continue;
    const shift = file === bodyPath && line === 1 ? firstLineShift : 0;
    if ((file !== path && file !== bodyPath) || column <= shift) continue;
    const issue = {file: path, line, column: column - shift, code: `ts${code}`, message};
    issues.set(`${issue.line}:${issue.column}:${code}`, issue);
  }
  const errors = [...issues.values()].sort((a, b) => a.line - b.line || a.column - b.column);
  return {checked: true, reason: null, errors: errors.slice(0, mostIssues)};
}
