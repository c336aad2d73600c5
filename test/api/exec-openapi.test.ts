import {readFile} from 'node:fs/promises';
import test from 'ava';
import type {Hono} from 'hono';
import {parse} from 'yaml';
import {execManagementRoutes} from '../../api/exec-management-routes.ts';
import {execOpenApi, execRouteTable, printExecOpenApi} from '../../api/exec-openapi.ts';
import {execRoutes} from '../../api/exec-routes.ts';
import {filesRoutes} from '../../api/files-routes.ts';
import type {Route} from '../../api/openapi-document.ts';
import {sqliteRoutes} from '../../api/sqlite-routes.ts';
import {printStorageOpenApi, storageOpenApi, storageRouteTable} from '../../api/storage-openapi.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {createStorage} from '../../runtime/storage/service.ts';
import {execHttp} from '../helpers/exec-http.ts';
import {execWorld} from '../helpers/exec-world.ts';

function servedBy(app: Hono, prefix = ''): string[] {
  return app.routes
    .filter(({method}) => method !== 'ALL')
    .map(
      ({method, path}) =>
        `${method.toLowerCase()} ${prefix}${path.replace('/*', '/{path}').replace(/:(\w+)(?:\{\[\^\]\+(\/\w+)?\})?/g, '{$1}$2')}`,
    );
}

const describedIn = (table: readonly Route[]) => table.map(({method, path}) => `${method} ${path}`).sort();

test('the exec document describes every route and no other', async (t) => {
  const {exec} = await execWorld(t);
  const served = [...servedBy(execRoutes(exec, {trusted: true})), ...servedBy(execManagementRoutes(exec))];
  // Health is answered for each kit by the app above the kits.
  t.deepEqual([...new Set([...served, 'get /health'])].sort(), describedIn(execRouteTable));
});

test('the storage document describes every route and no other', (t) => {
  const {databases, files} = createStorage({
    root: '/nowhere',
    directory: '/nowhere',
    command: [],
    clock: systemClock,
  });
  const served = [...servedBy(sqliteRoutes(databases), '/sqlite'), ...servedBy(filesRoutes(files), '/files')];
  t.deepEqual([...new Set(served)].sort(), describedIn(storageRouteTable));
});

for (const [name, document, print] of [
  ['exec', execOpenApi, printExecOpenApi],
  ['storage', storageOpenApi, printStorageOpenApi],
] as const) {
  test(`every reference of the ${name} document leads to a shape`, (t) => {
    const text = JSON.stringify(document());
    const names = new Set([...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference = '']) => reference));
    t.true(names.size > 5);
    const {components} = document() as {components: {schemas: object}};
    for (const reference of names) {
      const shape = reference.replace('#/components/schemas/', '').split('/')[0] ?? '';
      t.true(Object.hasOwn(components.schemas, shape), reference);
    }
  });

  test(`the ${name} document is what was reviewed; npm run generate writes it anew`, async (t) => {
    const reviewed = await readFile(new URL(`../../docs/${name}.openapi.yaml`, import.meta.url), 'utf8');
    const [now, then] = [print().split('\n'), reviewed.split('\n')];
    const changed = now.findIndex((line, index) => line !== then[index]);
    t.is(changed, -1, `line ${changed + 1}: ${now[changed]}`);
    t.is(now.length, then.length);
  });
}

test('both documents are served as JSON and YAML', async (t) => {
  const {request} = await execHttp(t);
  for (const kit of ['exec', 'sqlite']) {
    const json = await (await request('GET', `/api/v1/${kit}/openapi.json`)).json();
    const yaml = await request('GET', `/api/v1/${kit}/openapi.yaml`);
    t.regex(yaml.headers.get('content-type') ?? '', /^application\/yaml/);
    t.deepEqual(parse(await yaml.text()), json);
  }
});
