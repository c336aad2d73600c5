import test from 'ava';
import {type ContainerItem, containerItemSchema, snapshotSchema} from '../../schemas/container-api.ts';
import type {ErrorBody} from '../../schemas/errors.ts';
import {createControllerAppWorld as setup} from '../helpers/controller-app-world.ts';
import {jsonOf} from '../helpers/json-of.ts';

type World = Awaited<ReturnType<typeof setup>>;

const post = ({call}: World, path: string, body: unknown) =>
  call(path, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

const create = async (world: World, body: object = {}) =>
  containerItemSchema.parse(await (await post(world, '/api/v1/containers', body)).json());

const refusal = async (answer: Response | Promise<Response>) => {
  const response = await answer;
  return [response.status, (await jsonOf<ErrorBody>(response)).code] as const;
};

test('S27: a container is made, listed, snapshotted, cloned and deleted', async (t) => {
  const world = await setup(t);
  const made = await post(world, '/api/v1/containers', {name: 'try-out'});
  t.is(made.status, 201);
  const item = containerItemSchema.parse(await made.json());
  t.regex(item.id, /^ctr_[0-9a-f]{24}$/);
  t.like(item, {name: 'try-out', branch: null, repository: null, standalone: true, state: 'running'});
  t.is(item.urls.cron, `http://127.0.0.1:7070/c/${item.id.slice(4)}/cron`);
  const listed = await jsonOf<{items: ContainerItem[]}>(world.call('/api/v1/containers'));
  t.deepEqual(listed.items, [item]);

  const taken = await post(world, '/api/v1/snapshots', {container: item.id, name: 'base'});
  t.is(taken.status, 201);
  const snapshot = snapshotSchema.parse(await taken.json());
  t.like(snapshot, {name: 'base', container_id: item.id});
  t.deepEqual(await jsonOf(world.call('/api/v1/snapshots')), {items: [snapshot]});
  const clone = await create(world, {from: 'base'});
  t.not(clone.id, item.id);

  const hex = item.id.slice('ctr_'.length);
  const envelope = await jsonOf<{statusCode: number; data: Record<string, string>}>(
    world.call(`/api/v1/containers/${hex}`),
  );
  t.like(envelope, {
    statusCode: 200,
    message: 'OK',
    data: {id: hex, server_name: 'local', name: item.name, status: 'running'},
  });
  t.regex(envelope.data.project_id ?? '', /^[0-9a-f]{24}$/);

  for (const id of [item.id, clone.id.slice('ctr_'.length)]) {
    const gone = world.call(`/api/v1/containers/${id}`, {method: 'DELETE'});
    t.deepEqual(await jsonOf(gone), {deleted: true});
  }
  t.deepEqual(await jsonOf(world.call('/api/v1/containers')), {
    statusCode: 200,
    message: 'OK',
    data: {containers: []},
    items: [],
  });
  t.deepEqual(await world.world.directories(), []);
  t.deepEqual(await jsonOf(world.call('/api/v1/snapshots/base', {method: 'DELETE'})), {deleted: true});
  t.deepEqual(await jsonOf(world.call('/api/v1/snapshots')), {items: []});
});

test('of each container as many snapshots stay as the operator keeps, and those of the policy', async (t) => {
  const world = await setup(t);
  const {id} = await create(world, {name: 'by-name'});
  for (const name of ['of-live', 'one', 'two', 'three', 'two'])
    t.is((await post(world, '/api/v1/snapshots', {container: id, name})).status, 201);
  const {items} = await jsonOf<{items: {name: string}[]}>(world.call('/api/v1/snapshots'));
  t.deepEqual(items.map(({name}) => name).sort(), ['of-live', 'three', 'two']);
});

test('a snapshot is taken of a container by its id without ctr_ and by its name', async (t) => {
  const world = await setup(t);
  const {id} = await create(world, {name: 'by-name'});
  for (const container of [id.slice('ctr_'.length), 'by-name']) {
    const answer = await post(world, '/api/v1/snapshots', {container, name: 's'});
    t.is((await jsonOf<{container_id: string}>(answer)).container_id, id);
  }
});

test('a branch goes before a container that a person gave its name', async (t) => {
  const world = await setup(t);
  await create(world, {name: 'main'});
  const snapshot = post(world, '/api/v1/snapshots', {container: 'main', name: 's'});
  t.deepEqual(await refusal(snapshot), [409, 'BRANCH_AMBIGUOUS']);
  const deletion = world.call('/api/v1/containers/main', {method: 'DELETE'});
  t.deepEqual(await refusal(deletion), [409, 'BRANCH_AMBIGUOUS']);
});

test('what does not exist is 404 with its code', async (t) => {
  const world = await setup(t);
  for (const container of [
    '0'.repeat(24),
    `ctr_${'0'.repeat(24)}`,
    'nobody',
    '..%2f..%2fetc',
    '%00',
    'ctr_',
  ]) {
    const answer = world.call(`/api/v1/containers/${container}`, {method: 'DELETE'});
    t.deepEqual(await refusal(answer), [404, 'CONTAINER_NOT_FOUND'], container);
  }
  for (const name of ['nothing', '..%2fcontainers', '.making-1']) {
    const answer = world.call(`/api/v1/snapshots/${name}`, {method: 'DELETE'});
    t.deepEqual(await refusal(answer), [404, 'SNAPSHOT_NOT_FOUND'], name);
  }
  for (const container of ['feature/x', 'nobody'])
    t.deepEqual(await refusal(post(world, '/api/v1/snapshots', {container, name: 's'})), [
      404,
      'CONTAINER_NOT_FOUND',
    ]);
  t.deepEqual(await refusal(post(world, '/api/v1/containers', {from: 'nothing'})), [
    404,
    'SNAPSHOT_NOT_FOUND',
  ]);
});

test('hostile names and bodies are refused before anything is made', async (t) => {
  const world = await setup(t);
  const containers = '/api/v1/containers';
  for (const [body, status, code] of [
    [{name: '../../etc'}, 400, 'INVALID_NAME'],
    [{name: 'main-1f0c9a3e'}, 400, 'INVALID_NAME'],
    [{from: '../../etc'}, 400, 'INVALID_NAME'],
    [{name: 'x'.repeat(101)}, 400, 'INVALID_BODY'],
    [{name: 5}, 400, 'INVALID_BODY'],
    [{bogus: true}, 400, 'INVALID_BODY'],
    [[], 400, 'INVALID_BODY'],
    ['{', 400, 'INVALID_JSON'],
    ['', 400, 'INVALID_JSON'],
    [`{"name": "${'x'.repeat(20_000)}"}`, 413, 'PAYLOAD_TOO_LARGE'],
  ] as const)
    t.deepEqual(
      await refusal(post(world, containers, body)),
      [status, code],
      JSON.stringify(body).slice(0, 40),
    );
  const text = world.call(containers, {method: 'POST', headers: {'Content-Type': 'text/plain'}, body: '{}'});
  t.deepEqual(await refusal(text), [415, 'UNSUPPORTED_MEDIA_TYPE']);
  t.deepEqual(await refusal(world.call(containers, {method: 'POST'})), [415, 'UNSUPPORTED_MEDIA_TYPE']);
  const {id} = await create(world);
  for (const name of ['', '.hidden', 'a/b', '../x', 'a\0b'])
    t.deepEqual(await refusal(post(world, '/api/v1/snapshots', {container: id, name})), [
      400,
      'INVALID_NAME',
    ]);
  t.is((await world.world.directories()).length, 1);
});

test('containers and snapshots need the token', async (t) => {
  const {app} = await setup(t);
  for (const [method, path] of [
    ['GET', '/api/v1/containers'],
    ['POST', '/api/v1/containers'],
    ['DELETE', '/api/v1/containers/x'],
    ['GET', '/api/v1/snapshots'],
    ['POST', '/api/v1/snapshots'],
    ['DELETE', '/api/v1/snapshots/x'],
  ] as const)
    t.is((await app.request(path, {method})).status, 401, `${method} ${path}`);
});
