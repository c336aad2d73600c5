import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {createControllerWorld} from '../helpers/controller-world.ts';
import {serveOverHttp} from '../helpers/git-http.ts';
import {createPushWorld} from '../helpers/git-world.ts';
import {gitHubHeaders} from '../helpers/webhook-world.ts';

const repository = {html_url: 'https://github.com/acme/shop'};

test('a webhook brings a push of a remote repository into its container long before the next fetch', async (t) => {
  const git = await createPushWorld(t);
  await git.push('main', {'.hoody/crontab': '0 * * * * echo main\n'});
  const world = await createControllerWorld(t);
  const config = join(git.origin.directory, 'branchtab.yaml');
  const secret = join(git.origin.directory, 'hook-secret');
  await writeFile(secret, 'first secret\n');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [
        {repository: await serveOverHttp(t, git.origin), forge_url: 'https://github.com/acme/shop'},
      ],
      fetch_interval: '7d',
      trust_branches: true,
      webhooks: {github: {secrets: [{from_file: secret}]}},
    }),
  );
  const controller = await world.up('--config', config, '--yes');
  await controller.until('main', ({observed_revision}) => observed_revision !== null);

  const commit = await git.push('feature/x', {'.hoody/crontab': '5 * * * * echo x\n'});
  const tell = async (delivery: string, given: string, extra: Record<string, string> = {}) => {
    const body = JSON.stringify({ref: 'refs/heads/feature/x', after: commit, repository});
    const headers = {...gitHubHeaders('push', body, {delivery, secret: given}), ...extra};
    return (await fetch(`${controller.url}/hooks/github`, {method: 'POST', body, headers})).status;
  };
  t.is(await tell('d0', 'no secret'), 401);
  t.is(await tell('d0', 'first secret', {Origin: 'https://evil.example'}), 403);
  t.is(await tell('d0', 'first secret', {Host: 'evil.example'}), 421);
  t.is(await tell('d1', 'first secret'), 202);
  const branch = await controller.until('feature/x', ({observed_revision}) => observed_revision === commit);
  t.is(await controller.crontab(branch), '5 * * * * echo x\n');

  const {stdout} = await world.run('deliveries', 'd1');
  t.regex(stdout, /received: push of github/);
  t.regex(stdout, new RegExp(`git has feature/x at ${commit.slice(0, 8)}`));
  t.regex(stdout, /now: /);
  t.is((await world.run('explain', 'd1')).stdout, stdout);
  const explained = (await world.run('explain', 'feature/x')).stdout;
  t.regex(explained, /listed because a webhook told of it/);
  t.is((await world.run('deliveries', 'd0')).code, 4);
  t.is((await world.run('explain', 'd0')).code, 4);
  t.regex((await world.run('deliveries')).stdout, /github +push +feature\/x +accepted +d1/);
});
