import {appendFile} from 'node:fs/promises';
import test from 'ava';
import {openDeliveryLog} from '../../reconciler/delivery-log.ts';
import {openRemoteSource} from '../../reconciler/sources/git-remote.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {serveOverHttp} from '../helpers/git-http.ts';
import type {Teardown} from '../helpers/git-world.ts';
import {createPushWorld} from '../helpers/git-world.ts';
import {createWatchWorld} from '../helpers/watch-world.ts';
import {createWebhookWorld} from '../helpers/webhook-world.ts';

const repository = {html_url: 'https://github.com/acme/shop'};
const files = (text: string) => ({'.hoody/crontab': `0 * * * * echo ${text}\n`});

/** Hooks in front of a real remote repository, which is looked at only because of them. */
async function remoteWorld(t: Teardown) {
  const git = await createPushWorld(t);
  await git.push('main', files('main'));
  const source = await openRemoteSource({
    url: await serveOverHttp(t, git.origin),
    access: {kind: 'address'},
    mirrorDirectory: `${git.origin.directory}/mirror.git`,
    environment: git.origin.environment,
    clock: systemClock,
    log: silentLog,
  });
  const {watch, records} = createWatchWorld(t, {source, clock: systemClock, intervalMs: 3_600_000});
  const hooks = await createWebhookWorld(t, {
    repositories: [{repository: source.repository, forgePath: 'github.com/acme/shop', servesForks: false}],
    look: () => watch.pass(),
    commitOf: (_repository, branch) => watch.commitOf(branch),
  });
  return {git, hooks, watch, records};
}

test('a burst of 1,000 deliveries makes one look at the repository', async (t) => {
  const {git, hooks, watch, records} = await remoteWorld(t);
  await watch.pass();
  const branches = Array.from({length: 10}, (_, index) => `feature/${index}`);
  const tips = await Promise.all(branches.map((branch) => git.clone.commit(branch, files(branch))));
  await git.clone.git('push', '--quiet', 'origin', ...branches);
  const answers = await Promise.all(
    Array.from({length: 1000}, (_, index) =>
      hooks.send('push', {
        ref: `refs/heads/${branches[index % 10]}`,
        after: tips[index % 10],
        repository,
      }),
    ),
  );
  t.true(answers.every(({status}) => status === 202));
  await hooks.deliveries.settled();
  t.is(hooks.looks.length, 1);
  t.deepEqual(
    branches.map((branch) => records.get(branch)?.revision),
    tips,
  );
  t.true(hooks.deliveries.newest(1000).every(({looked_at}) => looked_at !== null));
});

test('deliveries that are late, doubled, out of order or lost leave what git says', async (t) => {
  const {git, hooks, watch, records} = await remoteWorld(t);
  await watch.pass();
  const first = await git.push('x', files('first'));
  const tell = (after: string, delivery: string) =>
    hooks.send('push', {ref: 'refs/heads/x', after, repository}, {delivery});
  await tell(first, 'one');
  await hooks.deliveries.settled();
  t.is(records.get('x')?.revision, first);

  // The push of `second` is told to nobody, that of `third` before an older one.
  await git.push('x', files('second'));
  const third = await git.push('x', files('third'));
  await tell(third, 'three');
  await tell(first, 'one');
  await tell('d'.repeat(40), 'two');
  await hooks.deliveries.settled();
  t.is(records.get('x')?.revision, third);
  t.is(hooks.deliveries.get('two').found, third);

  const duplicate = (await (await tell(third, 'three')).json()) as {duplicate: boolean};
  t.true(duplicate.duplicate);

  // Told of a deletion that did not happen, and of one that did.
  await hooks.send('delete', {ref: 'x', ref_type: 'branch', repository});
  await hooks.deliveries.settled();
  t.is(records.get('x')?.missing, null);
  await git.deleteBranch('x');
  await hooks.send('delete', {ref: 'x', ref_type: 'branch', repository});
  await hooks.deliveries.settled();
  t.is(records.get('x')?.missing?.cause, 'branch_deleted');
});

test('what the last look has seen already causes none', async (t) => {
  const {git, hooks, watch} = await remoteWorld(t);
  const tip = await git.push('x', files('x'));
  await watch.pass();
  await hooks.send('push', {ref: 'refs/heads/x', after: tip, repository});
  await hooks.deliveries.settled();
  t.deepEqual(hooks.looks, []);
  t.like(hooks.deliveries.newest(1)[0], {found: tip, outcome: 'accepted'});
});

test('deliveries are known after a restart, also when the last line was cut off', async (t) => {
  const {send, deliveries, path, openDeliveries} = await createWebhookWorld(t);
  await send('ping', {}, {delivery: 'one'});
  await send('ping', {}, {delivery: 'two'});
  await deliveries.settled();
  await appendFile(path, '{"id":"three","for');
  const log = await openDeliveryLog({path, log: silentLog});
  t.deepEqual(
    log.newest(10).map(({id}) => id),
    ['two', 'one'],
  );
  await log.close();
  const again = await openDeliveries();
  t.is(again.get('one').reason, 'ping');
  await again.close();
  await t.throwsAsync(async () => again.get('three'), {message: /No delivery "three"/});
});
