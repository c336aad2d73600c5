import test from 'ava';
import {createRouteTable} from '../../../runtime/exec/routes.ts';
import {AppError} from '../../../schemas/errors.ts';

const files = [
  'hello.ts',
  'hello.js',
  'index.ts',
  'api/index.ts',
  'api/users/me.ts',
  'api/users/[id].ts',
  'api/[kind]/[id].ts',
  'docs/[...slug].ts',
  'all/[[...path]].ts',
  'report/run.ts',
  'pre.js',
  'types.d.ts',
  'data.json',
  'scripts/own.ts',
];

const routes = test.macro(
  (
    t,
    {path, file, parameters = {}}: {path: string; file: string | null; parameters?: Record<string, unknown>},
  ) => {
    const route = createRouteTable(files).find(path);
    t.is(route?.file ?? null, file);
    if (route !== null) t.deepEqual(route.parameters, parameters);
  },
);

test('a file answers its path, TypeScript before JavaScript', routes, {path: '/hello', file: 'hello.ts'});
test('index answers its directory', routes, {path: '/api', file: 'api/index.ts'});
test('index at the top answers /', routes, {path: '/', file: 'index.ts'});
test('static before dynamic', routes, {path: '/api/users/me', file: 'api/users/me.ts'});
test('dynamic gives a parameter', routes, {
  path: '/api/users/42',
  file: 'api/users/[id].ts',
  parameters: {id: '42'},
});
test('two dynamic segments', routes, {
  path: '/api/teams/7',
  file: 'api/[kind]/[id].ts',
  parameters: {kind: 'teams', id: '7'},
});
test('a catch-all gives the list of segments', routes, {
  path: '/docs/a/b',
  file: 'docs/[...slug].ts',
  parameters: {slug: ['a', 'b']},
});
test('a catch-all needs a segment', routes, {path: '/docs', file: null});
test('an optional catch-all does not', routes, {
  path: '/all',
  file: 'all/[[...path]].ts',
  parameters: {path: []},
});
test('an encoded slash parts segments', routes, {
  path: '/api%2Fusers%2F42',
  file: 'api/users/[id].ts',
  parameters: {id: '42'},
});
test('S5: /scripts/x/run falls back to x', routes, {path: '/scripts/hello/run', file: 'hello.ts'});
test('S5: /scripts/x/run prefers x/run', routes, {path: '/scripts/report/run', file: 'report/run.ts'});
test('a file below scripts/ comes before the alias', routes, {path: '/scripts/own', file: 'scripts/own.ts'});
test('middleware is no route', routes, {path: '/pre', file: null});
test('declarations are no route', routes, {path: '/types.d', file: null});
test('other files are no route', routes, {path: '/data.json', file: null});

test('a look in ten thousand scripts touches only those on its way', (t) => {
  const files = Array.from({length: 10_000}, (_, index) => `d${index % 100}/s${index}.ts`);
  const table = createRouteTable([...files, '[any]/[name].ts']);
  for (const index of [0, 5507, 9999]) t.is(table.find(`/d${index % 100}/s${index}`)?.file, files[index]);
  t.deepEqual(table.find('/d7/none'), {file: '[any]/[name].ts', parameters: {any: 'd7', name: 'none'}});
});

test('hostile paths find nothing outside of the set', (t) => {
  for (const path of [
    '/../hello',
    '/%2e%2e/hello',
    '/..%2f..%2fetc/passwd',
    '/hello.ts',
    '/__proto__',
    '/constructor',
  ])
    t.is(createRouteTable(['hello.ts', 'x/../y.ts']).find(path)?.file ?? null, null, path);
});

test('reserved segments are refused at any depth', (t) => {
  for (const path of ['/node_modules/x', '/a/.git', '/_sdk', '/a%2F_hoody%2Fb', '/.hoody-cache']) {
    t.is(
      t.throws(() => createRouteTable(files).find(path), {instanceOf: AppError})?.code,
      'PATH_EXCLUDED',
      path,
    );
  }
});

test('broken percent-encoding is refused', (t) => {
  t.is(t.throws(() => createRouteTable(files).find('/%zz'), {instanceOf: AppError})?.code, 'INVALID_QUERY');
});
