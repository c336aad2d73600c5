import test from 'ava';
import fc from 'fast-check';
import {errorCatalogue} from '../../schemas/errors.ts';
import {createControllerAppWorld} from '../helpers/controller-app-world.ts';
import {fuzz} from '../helpers/fuzz.ts';

const word = fc.oneof(
  fc.constantFrom(
    'main',
    'feature/x',
    '..',
    '%2e%2e',
    '%00',
    '%ff',
    '%',
    '__proto__',
    'constructor',
    'x'.repeat(2000),
    '<script>',
    '日本',
    '-1',
    '1e9',
    '0',
    '99999999999999999999',
    'true',
    'NaN',
    '2026-01-01T00:00:00Z',
    "'",
    '"',
    ' ',
    ';',
  ),
  fc.string({unit: 'binary', maxLength: 12}),
);
const encoded = fc
  .tuple(word, fc.boolean())
  .map(([text, encode]) =>
    encode ? encodeURIComponent(text.toWellFormed()) : text.replace(/[\0-\x20\x7f-\uffff#?]/g, ''),
  );
const route = fc.oneof(
  fc.constantFrom(
    '/api/v1/branches',
    '/api/v1/repositories',
    '/api/v1/containers',
    '/api/v1/snapshots',
    '/api/v1/reconcile',
    '/openapi.json',
    '/',
    '/livez',
    '/login',
  ),
  fc
    .tuple(fc.constantFrom('', '/runs', '/reconcile', '/restore', '/nothing'), encoded)
    .map(([verb, key]) => `/api/v1/branches/${key}${verb}`),
  fc
    .tuple(fc.constantFrom('containers', 'snapshots'), encoded)
    .map(([list, name]) => `/api/v1/${list}/${name}`),
  encoded.map((text) => `/${text}`),
);
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'limit',
        'cursor',
        'user',
        'entry',
        'status',
        'since',
        'until',
        'confirm_deletions',
        'code',
        '__proto__',
      ),
      encoded,
    ),
    {maxLength: 3},
  )
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map((pair) => pair.join('=')).join('&')}`));

test('every request is answered, and a refusal has a code of the catalogue', async (t) => {
  const {call} = await createControllerAppWorld(t);
  await fuzz(
    t,
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'),
      route,
      query,
      fc.constantFrom('', '{', '{}', '\0'),
      async (method, path, search, body) => {
        const response = await call(path + search, {
          method,
          ...(method === 'GET' || method === 'HEAD' ? {} : {body}),
        });
        const text = await response.text();
        if (response.status < 400) return;
        if (response.status >= 500) throw new Error(`${method} ${path}${search}: ${response.status} ${text}`);
        if (method === 'HEAD' || path === '/login') return;
        const {code, message} = JSON.parse(text) as {code: string; message: string};
        if (!(code in errorCatalogue) || message === '')
          throw new Error(`${method} ${path}${search}: ${text}`);
      },
    ),
    {runs: 1500},
  );
});
