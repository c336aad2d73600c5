import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {entryListSchema} from '../../schemas/cron-api.ts';
import {inboxSchema, type Notification} from '../../schemas/notification.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {portEightySkipReason} from '../helpers/host-facts.ts';
import {levelSkipReason} from '../helpers/level-available.ts';
import {notificationOf, readStream, type StreamReader} from '../helpers/notification-world.ts';
import {startRuntime} from '../helpers/runtime-process.ts';

const skipReason = (await levelSkipReason('sandbox')) ?? (await portEightySkipReason());
if (skipReason !== null) console.log(`SKIP hoody-notifications on port 80 reason=${skipReason}`);
const withKitNames = skipReason === null ? test : test.skip;

async function setup(t: ExecutionContext, crontab: string) {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t);
  const controller = await world.up('--repo', repository.path);
  const commit = await repository.commit('feature/x', {'.hoody/crontab': crontab}, 'on call', {from: null});
  return {world, controller, branch: await controller.until('feature/x', active(commit))};
}

const urlOf = ({container}: Branch) => container?.urls.notifications ?? '';

async function inbox(branch: Branch, name: string): Promise<Notification[]> {
  const response = await fetch(`${urlOf(branch)}/inbox/${name}`);
  return inboxSchema.parse(await response.json()).notifications;
}

async function nextNotification(stream: StreamReader): Promise<Notification> {
  for (;;) {
    const event = await stream.next();
    if (!event.includes('event: heartbeat')) return notificationOf(event);
  }
}

withKitNames(
  'S51 S52: the on-call command of the document, run by cron, is in that inbox and reaches its follower',
  async (t) => {
    t.timeout(180_000);
    const {controller, branch} = await setup(t, '# nothing but the entry\n');
    const entry = {
      schedule: '* * * * *',
      command: 'curl -fsS hoody-notifications/push/m.dossantos',
      comment: 'on-call wk19',
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    };
    const created = await fetch(`${branch.container?.urls.cron}/users/me/entries`, {
      method: 'POST',
      body: JSON.stringify(entry),
      headers: {'content-type': 'application/json'},
    });
    t.is(created.status, 201);
    const stream = readStream(await fetch(`${urlOf(branch)}/inbox/m.dossantos/stream`));
    t.true((await stream.next()).startsWith('id: 0\nevent: connected\n'));

    const live = await nextNotification(stream);
    t.like(live, {id: 1, display_id: 'm.dossantos', summary: 'ping from feature/x'});
    await stream.leave();
    t.deepEqual((await inbox(branch, 'm.dossantos'))[0], live);
    t.deepEqual(await inbox(branch, 'j.okafor'), []);
    const [run] = await controller.untilRuns('feature/x', (runs) =>
      runs.some(({status}) => status !== 'running'),
    );
    t.like(run, {status: 'succeeded', command: entry.command});
    t.deepEqual(JSON.parse(run?.stdout ?? ''), live);
  },
);

test('a job pushes through the variable of the kit, and what it pushed outlives the runtime', async (t) => {
  t.timeout(180_000);
  const push = `echo "no space left" | curl -fsS --data-binary @- "$HOODY_NOTIFICATIONS_URL/push/m.dossantos?title=Backup"`;
  const {world, controller, branch} = await setup(t, `@yearly ${push}\n`);
  const cron = `${branch.container?.urls.cron}/users/root`;
  const {entries} = entryListSchema.parse(await (await fetch(`${cron}/entries`)).json());
  const stream = readStream(await fetch(`${urlOf(branch)}/stream?displays=m.dossantos`));
  await stream.next();
  t.is((await fetch(`${cron}/entries/${entries[0]?.id}/run`, {method: 'POST'})).status, 202);
  const live = await nextNotification(stream);
  t.like(live, {display_id: 'm.dossantos', summary: 'Backup', body: 'no space left'});

  process.kill(await runtimePid(world.stateDirectory), 'SIGKILL');
  await t.throwsAsync(nextNotification(stream));
  // Answers again as soon as the container does.
  await controller.untilRuns('feature/x', (runs) => runs.length > 0);
  const again = await fetch(`${urlOf(branch)}/inbox/m.dossantos/stream`, {headers: {'last-event-id': '0'}});
  const resumed = readStream(again);
  t.true((await resumed.next()).startsWith('id: 0\n'));
  t.deepEqual(await nextNotification(resumed), live);
  await resumed.leave();
});

test('without kit names a job finds the kit by its variable alone', async (t) => {
  const {url} = await startRuntime(t);
  const crontab = '@yearly curl -fsS "$HOODY_NOTIFICATIONS_URL/push/me?message=$HOODY_NOTIFICATIONS_URL"\n';
  await fetch(`${url}/users/root/crontab`, {
    method: 'PUT',
    body: crontab,
    headers: {'content-type': 'text/plain'},
  });
  const {entries} = entryListSchema.parse(await (await fetch(`${url}/users/root/entries`)).json());
  const stream = readStream(await fetch(`${url}/api/v1/notifications/inbox/me/stream`));
  await stream.next();
  await fetch(`${url}/users/root/entries/${entries[0]?.id}/run`, {method: 'POST'});
  t.is((await nextNotification(stream)).summary, `${url}/api/v1/notifications`);
  await stream.leave();
});

test('a runtime that is asked for nothing has not opened its inboxes', async (t) => {
  const {url, directory} = await startRuntime(t);
  const kept = async () => (await readdir(join(directory, 'store'))).includes('notifications');
  await fetch(`${url}/users/root/entries`);
  t.false(await kept());
  t.is((await fetch(`${url}/api/v1/notifications/push/me`)).status, 200);
  t.true(await kept());
});

test('streams whose readers vanish make room for others', async (t) => {
  t.timeout(60_000);
  const {url} = await startRuntime(t);
  const open = (signal?: AbortSignal) =>
    fetch(`${url}/api/v1/notifications/stream`, signal === undefined ? {} : {signal});
  const gone = new AbortController();
  const streams = await Promise.all(
    Array.from({length: 100}, async () => readStream(await open(gone.signal))),
  );
  for (const stream of streams) t.true((await stream.next()).startsWith('id: 0\nevent: connected\n'));
  const refused = await open();
  t.is(refused.status, 429);
  t.is(refused.headers.get('retry-after'), '15');
  gone.abort();
  let again = await open();
  while (again.status === 429) again = await open();
  t.is(again.status, 200);
  await again.body?.cancel();
});

async function runtimePid(stateDirectory: string): Promise<number> {
  const containers = join(stateDirectory, 'containers');
  const [id = ''] = await readdir(containers);
  return JSON.parse(await readFile(join(containers, id, 'container.json'), 'utf8')).process.runtime.pid;
}
