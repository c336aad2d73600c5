import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Branch} from '../../schemas/branch.ts';
import {promotionPullSchema} from '../../schemas/hand-change.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {createGitHubStandIn} from '../helpers/github-stand-in.ts';

const hourly = '0 * * * * true\n';
const secret = 'sk_live_0123456789';

const isDrifted = (branch: Branch) =>
  branch.conditions.some(({type, reason}) => type === 'Ready' && reason === 'drifted');

async function putCrontab(t: ExecutionContext, branch: Branch, text: string): Promise<void> {
  const response = await fetch(`${branch.container?.urls.cron}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain'},
    body: text,
  });
  t.is(response.status, 200, await response.text());
}

test('promote opens one pull request for what was changed by hand, and merging it ends the difference', async (t) => {
  const gitHub = await createGitHubStandIn(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  gitHub.gitDirectory = repository.path;
  const world = await createControllerWorld(t);
  const files = {token: gitHub.token, secret};
  for (const [name, content] of Object.entries(files))
    await writeFile(join(repository.directory, name), content);
  const config = join(repository.directory, 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [
        {repository: repository.path, forge_url: 'https://github.com/acme/shop', branches: ['main']},
      ],
      github: {
        api_url: gitHub.apiUrl,
        token: {from_file: join(repository.directory, 'token')},
        write_interval: 0,
        poll_interval: '1h',
      },
      environments: [
        {branches: 'preview/*', secrets: {STRIPE_KEY: {from_file: join(repository.directory, 'secret')}}},
      ],
      drift: 'report',
    }),
  );
  const first = await repository.commit('main', {'.hoody/crontab': hourly});
  const controller = await world.up('--config', config);
  const branch = await controller.until('main', active(first));

  const nothing = await world.run('promote', 'main', '--pull-request');
  t.is(nothing.code, 0, nothing.stderr);
  t.regex(nothing.stdout, /main runs what [0-9a-f]{8} says; there is nothing to ask for/);

  // A value typed during an incident does not come into a repository, whichever branch it is of.
  await putCrontab(t, branch, `${hourly}5 * * * * curl -H 'Authorization: ${secret}' https://pay.example\n`);
  await controller.until('main', isDrifted);
  const exposed = await world.run('promote', 'main', '--pull-request');
  t.is(exposed.code, 1);
  t.regex(exposed.stderr, /\.hoody\/crontab of main holds the value of the secret STRIPE_KEY/);
  t.false(exposed.stderr.includes(secret));
  t.false(gitHub.requests.some(({path}) => path.includes('/git/')));

  await putCrontab(t, branch, `${hourly}15 * * * * echo by hand\n`);
  const opened = await world.run('promote', 'main', '--pull-request');
  t.is(opened.code, 0, opened.stderr);
  const [pull] = gitHub.pulls;
  const promoted = `branchtab/promote-${branch.key}`;
  t.like(pull, {branch: promoted, base: 'main'});
  t.is(
    opened.stdout,
    `main: pull request #${pull?.number} opened: https://github.com/acme/shop/pull/${pull?.number}\n`,
  );

  const again = await world.run('promote', 'main', '--pull-request', '--json');
  const {files: changed, pull_request} = promotionPullSchema.parse(JSON.parse(again.stdout));
  t.deepEqual(changed, ['.hoody/crontab']);
  t.like(pull_request, {number: pull?.number, branch: promoted, outcome: 'unchanged'});

  await putCrontab(t, branch, `${hourly}30 * * * * echo by hand\n`);
  const updated = await world.run('promote', 'main', '--pull-request');
  t.regex(updated.stdout, /brought up to date/);
  t.is(gitHub.pulls.length, 1);

  await repository.git('update-ref', 'refs/heads/main', promoted);
  const merged = await repository.git('rev-parse', 'main');
  const settled = await controller.until('main', (now) => active(merged)(now) && !isDrifted(now));
  t.is(await controller.crontab(settled), `${hourly}30 * * * * echo by hand\n`);
});

test('without GitHub a pull request is refused with what is missing, and the patch stays', async (t) => {
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const world = await createControllerWorld(t);
  const first = await repository.commit('main', {'.hoody/crontab': hourly});
  const controller = await world.up('--repo', repository.path);
  await controller.until('main', active(first));
  const refused = await world.run('promote', 'main', '--pull-request');
  t.is(refused.code, 1);
  t.regex(
    refused.stderr,
    /no `github` is configured in branchtab\.yaml .* Without --pull-request it is printed/,
  );
});
