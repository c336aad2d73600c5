import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const billing = 'main:services/billing';
const mail = 'main:services/mail';
const crontab = '# branchtab: name=show\n0 3 1 1 * cat $HOODY_WORKSPACE/name.txt\n';

test('rollback, promote and settings concern one directory and leave the others alone', async (t) => {
  t.timeout(180_000);
  const world = await createControllerWorld(t);
  const repository = await createGitWorld(t, {bare: true});
  const of = (version: string) => ({
    'services/billing/name.txt': `billing ${version}\n`,
    'services/mail/name.txt': `mail ${version}\n`,
  });
  await repository.commit('main', {
    'services/billing/.hoody/crontab': crontab,
    'services/mail/.hoody/crontab': crontab,
    ...of('one'),
  });
  const config = join(repository.directory, 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({repositories: [{repository: repository.path, paths: ['services/*']}]}),
  );
  const controller = await world.up('--config', config);
  const settled = async () => {
    const done = await world.run('reconcile');
    t.is(done.code, 0, done.stdout + done.stderr);
  };
  const shown = async (name: string) => (await world.run('run', name, 'show')).stdout;
  await settled();
  await repository.commit('main', of('two'));
  await settled();
  t.regex(await shown(billing), /billing two/);

  const back = await world.run('rollback', billing, '--reason', 'it billed twice');
  t.is(back.code, 0, back.stderr);
  t.regex(await shown(billing), /billing one/);
  t.regex(await shown(mail), /mail two/);
  t.is((await controller.client.branch(mail)).rollback, null);
  t.is((await world.run('rollback', billing, '--undo')).code, 0);
  t.regex(await shown(billing), /billing two/);

  t.is((await world.run('keep', billing, '--for', '1h')).code, 0);
  const {container} = await controller.client.branch(billing);
  const put = await fetch(`${container?.urls.cron}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: `${crontab}30 4 * * * true\n`,
  });
  t.is(put.status, 200);
  t.regex(
    (await world.run('promote', billing)).stdout,
    /\+\+\+ b\/services\/billing\/\.hoody\/crontab\n[\s\S]*\+30 4 \* \* \* true/,
  );
  t.is((await world.run('promote', mail)).stdout, '');
  t.is((await world.run('keep', billing, '--end')).code, 0);

  await repository.commit('main', {
    'services/billing/.hoody/settings.yaml': 'version: 1\nlive: {limits: {run_time: 90s}}\n',
  });
  await settled();
  t.regex((await controller.client.branch(billing)).notices.join(), /live\.limits\.run_time is 90s/);
  t.deepEqual((await controller.client.branch(mail)).notices, []);
  await repository.commit('main', {'services/mail/.hoody/settings.yaml': 'version: 1\nkeep: true\n'});
  await world.run('reconcile');
  const status = await world.run('status', mail);
  t.regex(status.stdout, /services\/mail\/\.hoody\/settings\.yaml:1:1 key_unknown/);
  t.is((await world.run('status', billing)).code, 0);
});
