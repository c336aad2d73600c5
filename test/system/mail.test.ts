import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {levelWithHostNetwork} from '../helpers/level-available.ts';
import {createSmtpSink} from '../helpers/smtp-sink.ts';

test('what a job writes is mailed by the server of branchtab.yaml', async (t) => {
  const sink = await createSmtpSink(t);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const commit = await repository.commit('main', {
    '.hoody/crontab': 'MAILTO=ops@example.org\n# branchtab: name=report\n0 3 1 1 * echo nightly report\n',
  });
  const secret = join(world.stateDirectory, '..', 'smtp-url');
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(secret, `${sink.url}\n`, {mode: 0o600});
  await writeFile(config, `mail:\n  smtp_url: {from_file: ${JSON.stringify(secret)}}\n`);
  const controller = await world.up(
    ...['--repo', repository.path, '--config', config],
    ...['--level', await levelWithHostNetwork()],
  );
  const {container} = await controller.until('main', active(commit));
  const listed = await fetch(`${container?.urls.cron}/users/root/entries`);
  const {entries} = (await listed.json()) as {entries: {id?: string; name?: string}[]};
  const report = entries.find(({name}) => name === 'report');
  const started = await fetch(`${container?.urls.cron}/users/root/entries/${report?.id}/run`, {
    method: 'POST',
  });
  t.is(started.status, 202);
  const {to, data} = await sink.next();
  t.deepEqual(to, ['ops@example.org']);
  t.regex(data, /nightly report/);
});

test('a mail server that is missing or not one ends `up` with the key', async (t) => {
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {fixture: 'simple'});
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  const secret = join(world.stateDirectory, '..', 'smtp-url');
  await writeFile(config, `mail:\n  smtp_url: {from_file: ${JSON.stringify(secret)}}\n`);
  const missing = await world.run('up', '--repo', repository.path, '--config', config);
  t.is(missing.code, 2);
  t.regex(missing.stderr, /mail\.smtp_url: .*missing or empty/);
  await writeFile(secret, 'http://user:s3cret@mail.example\n');
  const wrong = await world.run('up', '--repo', repository.path, '--config', config);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /mail\.smtp_url is smtp:/);
  t.notRegex(wrong.stderr, /s3cret/);
});
