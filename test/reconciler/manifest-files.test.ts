import test from 'ava';
import {readCommitted} from '../helpers/branch-files-world.ts';
import type {WorldFiles} from '../helpers/git-world.ts';

const manifestOf = (...lines: string[]) => ['version: 1', 'scripts:', ...lines, ''].join('\n');

test('S93: a script anywhere in the repository is deployed with what it imports', async (t) => {
  const {scripts, mounts, issues} = await readCommitted(t, {
    '.hoody/exec/scripts.yaml': manifestOf(
      '  - path: reports/[day]',
      '    file: src/jobs/daily.ts',
      '    timeout: 5m',
      '    methods: [GET, POST]',
      '    description: One day.',
      '    warm: true',
      '    concurrency: 2',
      '    env: {ZONE: UTC, LIMIT: 10}',
    ),
    'src/jobs/daily.ts': [
      "import {day} from '../lib/day.js';",
      "import type {Shape} from './not-there.ts';",
      "import config from '../config.json';",
      "const more = require('../lib');",
      "import {Database} from 'bun:sqlite';",
      'return day(metadata.parameters.day);',
    ].join('\n'),
    'src/lib/day.ts': "export {day} from './deep/day';\nimport '../jobs/daily.ts';",
    'src/lib/deep/day.ts': 'export const day = (text: string) => text;',
    'src/lib/index.js': 'module.exports = 1;',
    'src/config.json': '{}',
    'src/unrelated.ts': 'return 1',
  });
  t.deepEqual(issues, []);
  t.deepEqual(mounts, [
    {
      path: 'reports/[day]',
      file: '_hoody/repository/src/jobs/daily.ts',
      settings: {
        timeout_ms: 300_000,
        methods: ['GET', 'POST'],
        warm: true,
        concurrency: 2,
        description: 'One day.',
      },
    },
  ]);
  t.deepEqual(scripts.map(({path}) => path).sort(), [
    '_hoody/repository/src/config.json',
    '_hoody/repository/src/jobs/daily.env',
    '_hoody/repository/src/jobs/daily.ts',
    '_hoody/repository/src/lib/day.ts',
    '_hoody/repository/src/lib/deep/day.ts',
    '_hoody/repository/src/lib/index.js',
    'scripts.yaml',
  ]);
});

test('an entry without file speaks of the script of its path', async (t) => {
  const {mounts, issues} = await readCommitted(t, {
    '.hoody/exec/a.yaml': manifestOf('  - {path: rollup, timeout: 30s}', '  - {path: api, concurrency: 1}'),
    '.hoody/exec/rollup.ts': 'return 1',
    '.hoody/exec/api/index.js': 'return 1',
  });
  t.deepEqual(issues, []);
  t.deepEqual(
    mounts.map(({path, file}) => [path, file]),
    [
      ['rollup', 'rollup.ts'],
      ['api', 'api/index.js'],
    ],
  );
});

const refusing = test.macro(
  async (
    t,
    {
      entry,
      files = {},
      expect,
    }: {
      entry: readonly string[];
      files?: WorldFiles;
      expect: readonly (readonly [string, number, number, string])[];
    },
  ) => {
    const {issues} = await readCommitted(t, {'.hoody/exec/m.yaml': manifestOf(...entry), ...files});
    t.deepEqual(
      issues.map(({file, line, column, code}) => [file, line, column, code]),
      expect.map((issue) => [...issue]),
    );
    t.true(issues.every(({message}) => message.length > 20));
  },
);
const manifest = '.hoody/exec/m.yaml';

for (const file of ['../outside.ts', '/etc/passwd.ts', 'a/../../b.ts', './a.ts', 'a//b.ts']) {
  test(`refuses ${file}`, refusing, {
    entry: ['  - path: a', `    file: ${file}`],
    expect: [[manifest, 4, 11, 'value_invalid']],
  });
}
test('refuses a file that is a link', refusing, {
  entry: ['  - path: a', '    file: link.ts'],
  files: {'link.ts': {mode: 'symlink', content: '/etc/passwd'}},
  expect: [[manifest, 4, 11, 'file_is_link']],
});
test('refuses a file behind a link', refusing, {
  entry: ['  - path: a', '    file: linked/a.ts'],
  files: {linked: {mode: 'symlink', content: '/'}},
  expect: [[manifest, 4, 11, 'file_is_link']],
});
test('refuses a file that is not there', refusing, {
  entry: ['  - path: a', '    file: src/none.ts'],
  expect: [[manifest, 4, 11, 'file_missing']],
});
test('refuses a directory', refusing, {
  entry: ['  - path: a', '    file: dir.ts'],
  files: {'dir.ts/x': ''},
  expect: [[manifest, 4, 11, 'file_invalid']],
});
test('refuses a file that is no script', refusing, {
  entry: ['  - path: a', '    file: run.sh'],
  expect: [[manifest, 4, 11, 'value_invalid']],
});
test('says in which imported file a mistake is', refusing, {
  entry: ['  - path: a', '    file: src/a.ts'],
  files: {'src/a.ts': "import './b.ts';\nreturn 1", 'src/b.ts': 'const fine = 1;\nconst a = ;'},
  expect: [['src/b.ts', 2, 11, 'script_syntax']],
});
test('an import that leaves the repository is an issue at its line', refusing, {
  entry: ['  - path: a', '    file: src/a.ts'],
  files: {'src/a.ts': "// first\nimport '../../etc/passwd.ts';"},
  expect: [['src/a.ts', 2, 1, 'import_outside']],
});
test('an import through a link is an issue', refusing, {
  entry: ['  - path: a', '    file: src/a.ts'],
  files: {'src/a.ts': "import '../linked/x.ts';", linked: {mode: 'symlink', content: '/etc'}},
  expect: [['src/a.ts', 1, 1, 'file_is_link']],
});
test('an import of nothing is an issue', refusing, {
  entry: ['  - path: a', '    file: src/a.ts'],
  files: {'src/a.ts': "import './none';"},
  expect: [['src/a.ts', 1, 1, 'import_missing']],
});
test('a path that a script has already is taken', refusing, {
  entry: ['  - path: a', '    file: src/a.ts'],
  files: {'src/a.ts': '', '.hoody/exec/a.js': ''},
  expect: [[manifest, 3, 11, 'path_taken']],
});
test('a path is named once', refusing, {
  entry: ['  - {path: a}', '  - {path: a}'],
  files: {'.hoody/exec/a.ts': ''},
  expect: [[manifest, 4, 12, 'path_duplicate']],
});
test('an entry without file and without script', refusing, {
  entry: ['  - path: a'],
  expect: [[manifest, 3, 11, 'script_missing']],
});
test('a reserved path', refusing, {
  entry: ['  - path: node_modules/a', '    file: a.ts'],
  files: {'a.ts': ''},
  expect: [[manifest, 3, 11, 'value_invalid']],
});
test('variables of a script that has a .env file', refusing, {
  entry: ['  - path: a', '    env: {A: 1}'],
  files: {'.hoody/exec/a.ts': '', '.hoody/exec/a.env': 'A=2'},
  expect: [[manifest, 4, 10, 'env_conflict']],
});
test('other variables for the same file', refusing, {
  entry: ['  - {path: a, file: x.ts, env: {A: 1}}', '  - {path: b, file: x.ts, env: {A: 2}}'],
  files: {'x.ts': ''},
  expect: [[manifest, 4, 32, 'env_conflict']],
});
test('keys that mean nothing and values of a wrong kind', refusing, {
  entry: ['  - path: a', '    timout: 5s', '  - path: b', '    methods: [FETCH]'],
  files: {'.hoody/exec/a.ts': '', '.hoody/exec/b.ts': ''},
  expect: [
    [manifest, 3, 5, 'key_unknown'],
    [manifest, 6, 15, 'value_invalid'],
  ],
});
test('_hoody cannot be committed', refusing, {
  entry: ['  - path: a'],
  files: {'.hoody/exec/a.ts': '', '.hoody/exec/_hoody/repository/a.ts': ''},
  expect: [['.hoody/exec/_hoody/repository/a.ts', 1, 1, 'path_reserved']],
});

test('packages may be those of another directory of the repository', async (t) => {
  const files = {
    '.hoody/exec/m.yaml': 'version: 1\npackages: app\n',
    'app/package.json': '{}',
    'app/bun.lock': '{}',
    'app/.npmrc': 'registry=http://127.0.0.1:1',
    'app/other.txt': '',
  };
  const {scripts, issues} = await readCommitted(t, files);
  t.deepEqual(issues, []);
  t.deepEqual(scripts.map(({path}) => path).sort(), ['.npmrc', 'bun.lock', 'm.yaml', 'package.json']);
});

for (const [what, packages, files, code] of [
  ['a directory without package.json', 'app', {'app/bun.lock': '{}'}, 'packages_missing'],
  ['a directory without lock file', '.', {'package.json': '{}'}, 'packages_missing'],
  [
    'a linked package.json',
    '.',
    {'package.json': {mode: 'symlink', content: '/etc/passwd'}, 'bun.lock': '{}'},
    'packages_missing',
  ],
  ['packages beside those of the scripts', '.', {'.hoody/exec/package.json': '{}'}, 'packages_twice'],
  ['a directory outside of the repository', '../app', {}, 'value_invalid'],
] as const) {
  test(`refuses ${what}`, async (t) => {
    const text = `version: 1\npackages: ${packages}\n`;
    const {issues} = await readCommitted(t, {'.hoody/exec/m.yaml': text, ...files});
    t.like(issues, {length: 1, 0: {file: '.hoody/exec/m.yaml', line: 2, column: 11, code}});
  });
}
