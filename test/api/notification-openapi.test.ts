import {readFile} from 'node:fs/promises';
import test from 'ava';
import {parse} from 'yaml';
import {
  notificationOpenApi,
  notificationRouteTable,
  printNotificationOpenApi,
} from '../../api/notification-openapi.ts';
import {notificationRoutes} from '../../api/notification-routes.ts';
import {createNotificationWorld} from '../helpers/notification-world.ts';

test('the document of notifications describes every route and no other', async (t) => {
  const {service} = await createNotificationWorld(t);
  const served = notificationRoutes(service)
    .routes.filter(({method}) => method !== 'ALL')
    .map(({method, path}) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, '{$1}')}`);
  // Health is answered for each kit by the app above the kits.
  const described = notificationRouteTable.map(({method, path}) => `${method} ${path}`);
  t.deepEqual([...new Set([...served, 'get /health'])].sort(), described.toSorted());
});

test('every reference of the document leads to a shape', (t) => {
  const {components} = notificationOpenApi();
  const names = [
    ...JSON.stringify(notificationOpenApi()).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g),
  ];
  t.true(names.length > 10);
  for (const [, name = ''] of names)
    t.true(Object.hasOwn((components as {schemas: object}).schemas, name), name);
});

test('JSON and YAML of notifications are the same document', async (t) => {
  const {request} = await createNotificationWorld(t);
  const yaml = await request('/openapi.yaml');
  t.regex(yaml.headers.get('content-type') ?? '', /^application\/yaml/);
  t.deepEqual(parse(await yaml.text()), await (await request('/openapi.json')).json());
});

test('the document of notifications is what was reviewed; `npm run generate` writes it anew', async (t) => {
  const reviewed = await readFile(new URL('../../docs/notifications.openapi.yaml', import.meta.url), 'utf8');
  t.is(printNotificationOpenApi(), reviewed);
});
