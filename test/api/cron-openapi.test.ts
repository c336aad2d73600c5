import {readFile} from 'node:fs/promises';
import test from 'ava';
import {parse} from 'yaml';
import {cronOpenApi, cronRouteTable, printCronOpenApi} from '../../api/cron-openapi.ts';
import {cronRoutes} from '../../api/cron-routes.ts';
import {createCronHttp} from '../helpers/cron-http.ts';
import {createCronWorld} from '../helpers/cron-world.ts';

test('the document describes every route and no other', async (t) => {
  const {cron} = await createCronWorld(t);
  const served = cronRoutes(cron, {lists: 'envelope'})
    .routes.filter(({method}) => method !== 'ALL')
    .map(({method, path}) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`);
  // Health is answered for each kit by the app above the kits.
  const described = cronRouteTable.map(({method, path}) => `${method} ${path}`);
  t.deepEqual([...new Set([...served, 'get /health'])].sort(), described.toSorted());
});

test('every reference leads to a shape', (t) => {
  const text = JSON.stringify(cronOpenApi());
  const names = new Set([...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, name = '']) => name));
  t.true(names.size > 10);
  const {components} = cronOpenApi();
  for (const name of names) {
    const shape = name.replace('#/components/schemas/', '');
    t.true(Object.hasOwn((components as {schemas: object}).schemas, shape), name);
  }
});

test('JSON and YAML are the same document', async (t) => {
  const {get} = await createCronHttp(t);
  const json = await get('/openapi.json');
  const yaml = await get('/openapi.yaml');
  t.regex(yaml.headers.get('content-type') ?? '', /^application\/yaml/);
  t.deepEqual(parse(await yaml.text()), await json.json());
});

test('the document is what was reviewed; `npm run generate` writes it anew', async (t) => {
  const reviewed = await readFile(new URL('../../docs/cron.openapi.yaml', import.meta.url), 'utf8');
  const [now, then] = [printCronOpenApi().split('\n'), reviewed.split('\n')];
  const changed = now.findIndex((line, index) => line !== then[index]);
  t.is(changed, -1, `line ${changed + 1}: ${now[changed]}`);
  t.is(now.length, then.length);
});
