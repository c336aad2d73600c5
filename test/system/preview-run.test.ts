import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';

const billing = '# branchtab: name=billing\n* * * * * ./jobs/billing.sh\n';
const files = (crontab: string, script = 'echo v1\n') => ({
  '.hoody/crontab': crontab,
  'jobs/billing.sh': {mode: 'executable', content: `#!/bin/sh\n${script}`} as const,
});

async function setup(t: ExecutionContext, policy: string) {
  const world = await createControllerWorld(t);
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(config, policy);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const controller = await world.up('--repo', repository.path, '--config', config);
  return {world, repository, controller};
}

test('with previews.run: changed a preview leaves out what live runs too, until it is released or changed', async (t) => {
  const {world, repository, controller} = await setup(t, 'previews: {run: changed}\n');
  await controller.until('main', active(await repository.commit('main', files(billing))));
  const preview = `${billing}* * * * * echo new\n`;
  const held = await controller.until('p', active(await repository.commit('p', files(preview))));
  t.regex(held.conditions.map(({message}) => message).join(), /1 job is held/);
  const runs = await controller.untilRuns('p', (all) => all.some(({command}) => command === 'echo new'));
  const ofBilling = () => runs.filter(({entry_name}) => entry_name === 'billing');
  t.true(ofBilling().every(({status, reason}) => status === 'skipped' && reason === 'held'));

  t.is((await world.run('release', 'p', 'nothing')).code, 1);
  const released = await world.run('release', 'p', 'billing');
  t.is(released.code, 0, released.stderr);
  t.notRegex((await controller.client.branch('p')).conditions.map(({message}) => message).join(), /held/);

  // On another branch the script is another one, so the line is not the same.
  const changed = await repository.commit('q', files(billing, 'echo v2\n'));
  const ready = await controller.until('q', active(changed));
  t.notRegex(ready.conditions.map(({message}) => message).join(), /held/);
});

test('with run: none for some branches their lines wait, and entries made by hand run', async (t) => {
  const {repository, controller} = await setup(t, "environments: [{branches: 'wip/*', run: none}]\n");
  const branch = await controller.until('wip/x', active(await repository.commit('wip/x', files(billing))));
  t.regex(branch.conditions.map(({message}) => message).join(), /1 job is held/);
  const created = await fetch(`${branch.container?.urls.cron}/users/root/entries`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({schedule: '* * * * *', command: 'echo by hand'}),
  });
  t.is(created.status, 201);
  const runs = await controller.untilRuns('wip/x', (all) =>
    all.some(({command, status}) => command === 'echo by hand' && status === 'succeeded'),
  );
  t.false(runs.some(({entry_name, status}) => entry_name === 'billing' && status !== 'skipped'));
});
