import test from 'ava';
import fc from 'fast-check';
import {deployedScript} from '../../reconciler/deployed-script.ts';
import {resolveManifests} from '../../reconciler/manifest-files.ts';
import {createRepositoryFiles} from '../../reconciler/repository-files.ts';
import type {RepositoryFile} from '../../reconciler/sources/source.ts';
import {inspections} from '../../runtime/exec/inspections.ts';
import {scriptPathSchema} from '../../schemas/exec-api.ts';
import {fuzz} from '../helpers/fuzz.ts';

const piece = fc.oneof(
  fc.constantFrom(
    'a',
    'src/a.ts',
    '../a.ts',
    '/etc/passwd',
    'a/../../b.ts',
    '[id]',
    '[...rest]',
    '_hoody/x',
    'link/a.ts',
    '5s',
    '0',
    '-1',
    '1e9',
    '.inf',
    'true',
    '[GET, POST]',
    '[]',
    '{A: b}',
    '{"A\\n": "\\0"}',
    '*a',
    '&a x',
    '!!binary AAAA',
    '"',
    '|',
  ),
  fc.string({unit: 'binary', maxLength: 12}),
);
const key = fc.oneof(
  fc.constantFrom(
    'path',
    'file',
    'timeout',
    'env',
    'description',
    'methods',
    'warm',
    'concurrency',
    '__proto__',
    'constructor',
    '<<',
  ),
  fc.string({maxLength: 6}),
);
const field = fc.tuple(key, piece).map(([name, value]) => `    ${name}: ${value}`);
const script = fc
  .tuple(piece, fc.array(field, {maxLength: 4}))
  .map(([path, fields]) => [`  - path: ${path}`, ...fields].join('\n'));
const text = fc.oneof(
  fc.array(script, {maxLength: 5}).map((scripts) => ['version: 1', 'scripts:', ...scripts].join('\n')),
  piece.map((directory) => `version: 1\npackages: ${directory}`),
  fc.array(fc.oneof(piece, field), {maxLength: 8}).map((lines) => lines.join('\n')),
);

const contents: Readonly<Record<string, string>> = {
  'src/a.ts': "import './b';\nimport '../../../etc/passwd';\nreturn 1",
  'src/b.ts': "import './a.ts';",
};

/** A small repository; `link` is a symbolic link. */
async function readFile(path: string): Promise<RepositoryFile> {
  const content = contents[path];
  if (content !== undefined) return {kind: 'file', bytes: Buffer.from(content)};
  return {kind: path.startsWith('link/') ? 'link' : path === 'src' ? 'directory' : 'absent'};
}

test('any text is a manifest or a list of issues that point into it, and nothing leaves the repository', async (t) => {
  const own = [deployedScript('a.ts', Buffer.from('return 1'))];
  await fuzz(
    t,
    fc.asyncProperty(text, async (written) => {
      const asked: string[] = [];
      const ask = (path: string) => {
        asked.push(path);
        return readFile(path);
      };
      const repository = createRepositoryFiles({
        checkScript: inspections.check,
        scriptImports: inspections.imports,
        readFile: ask,
      });
      const manifest = {file: '.hoody/exec/m.yaml', text: written};
      const {scripts, mounts, issues} = await resolveManifests([manifest], own, repository, ask);
      const lines = written.split('\n').length;
      const paths = new Set([...own, ...scripts].map(({path}) => path));
      return (
        issues.every(
          ({file, line, column, message}) =>
            (file !== manifest.file || line <= lines) && line >= 1 && column >= 1 && message !== '',
        ) &&
        asked.every((path) => scriptPathSchema.safeParse(path).success) &&
        [...paths].every((path) => scriptPathSchema.safeParse(path).success) &&
        mounts.every(({file, path}) => paths.has(file) && scriptPathSchema.safeParse(path).success)
      );
    }),
    {runs: 800},
  );
});
