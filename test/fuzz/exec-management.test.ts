import test from 'ava';
import fc from 'fast-check';
import {execRouteTable} from '../../api/exec-openapi.ts';
import {storageRouteTable} from '../../api/storage-openapi.ts';
import {execHttp} from '../helpers/exec-http.ts';
import {deploymentOf} from '../helpers/exec-world.ts';
import {fuzz} from '../helpers/fuzz.ts';

/** Starting a registry's client for every made-up name proves nothing here. */
const slow = /dependencies\/install|package\/(?:update|install|pin)|logs\/stream/;
const routes = [
  ...execRouteTable.map(({method, path}) => ({method, path: `/api/v1/exec${path}`})),
  ...storageRouteTable.map(({method, path}) => ({method, path: `/api/v1${path}`})),
].filter(({path}) => !slow.test(path));

const names = [
  ...[
    'path',
    'paths',
    'from',
    'to',
    'content',
    'code',
    'comments',
    'dry_run',
    'baseDir',
    'maxDepth',
    'hostname',
  ],
  ...[
    'execId',
    'file',
    'lines',
    'search',
    'query',
    'regex',
    'files',
    'limit',
    'scriptPath',
    'force',
    'value',
  ],
  ...['merge', 'clearAll', 'modules', 'dependencies', 'transaction', 'db', 'sql', 'cursor', 'since', 'name'],
  ...['table', 'ttl', 'if_match', 'delta', 'prefix', 'offset', 'history', 'create_db_if_missing'],
  ...['init_kv', 'kv_table', 'stat', 'append', 'typecheck', 'subdomain'],
  ...['confirm', 'recursive', 'list', 'type', 'olderThanDays', 'sort', 'drainTimeoutMs', 'digest', 'commit'],
];
const text = fc.oneof(
  fc.constantFrom(
    'a.ts',
    '../a.ts',
    '__proto__',
    'constructor',
    'events.db',
    'access/access.log',
    'true',
    '0',
    '-1',
    '1e999',
    'SELECT 1',
    '2-3',
    'bytes=1-',
    '(',
    '/api/[id]',
    '%',
    '\ud800',
  ),
  fc.string({unit: 'binary', maxLength: 12}),
);
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    {depthSize: 'small', withCrossShrink: true},
    text,
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('any'), {maxLength: 3}),
    tie('object'),
  ),
  object: fc.dictionary(fc.oneof(fc.constantFrom(...names), text), tie('any'), {maxKeys: 5}),
})).object;
const query = fc.dictionary(fc.constantFrom(...names), text, {maxKeys: 4});

test('whatever is asked of a management route, it does not fail by itself', async (t) => {
  const {request, exec} = await execHttp(t);
  await exec.deploy(deploymentOf({'a.ts': '// @label x\nreturn 1', 'lib/b.ts': ''}));
  await fuzz(
    t,
    fc.asyncProperty(fc.constantFrom(...routes), query, value, text, async (route, asked, body, segment) => {
      const wellFormed = Object.entries(asked).map(([name, one]): [string, string] => [
        name,
        one.toWellFormed(),
      ]);
      const path = route.path.replace(/\{\w+\}/, encodeURIComponent(segment.toWellFormed()));
      const target = `${path}?${new URLSearchParams(wellFormed)}`;
      const hasBody = ['post', 'put', 'patch'].includes(route.method);
      const answer = await request(route.method.toUpperCase(), target, hasBody ? body : undefined, {
        'x-update-range': asked.lines?.startsWith('bytes') ? asked.lines : 'append',
      });
      await answer.body?.cancel();
      if (answer.status < 500 || answer.status === 501 || answer.status === 503) return true;
      throw new Error(`${route.method} ${target} ${JSON.stringify(body)} -> ${answer.status}`);
    }),
    {runs: 1500, stateful: true},
  );
});
