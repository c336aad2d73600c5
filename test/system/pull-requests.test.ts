import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {createGitHubStandIn} from '../helpers/github-stand-in.ts';
import {gitHubHeaders, hookSecret} from '../helpers/webhook-world.ts';

test('a preview ends when its pull request is closed, and comes back when that is opened again or a commit comes', async (t) => {
  const gitHub = await createGitHubStandIn(t);
  const repository = await createGitWorld(t, {fixture: 'simple', bare: true});
  const world = await createControllerWorld(t);
  const config = join(repository.directory, 'branchtab.yaml');
  await writeFile(join(repository.directory, 'token'), gitHub.token);
  await writeFile(join(repository.directory, 'secret'), hookSecret);
  await writeFile(
    config,
    JSON.stringify({
      repositories: [{repository: repository.path, forge_url: 'https://github.com/acme/shop'}],
      undo_window: 0,
      webhooks: {github: {secrets: [{from_file: join(repository.directory, 'secret')}]}},
      github: {
        api_url: gitHub.apiUrl,
        token: {from_file: join(repository.directory, 'token')},
        poll_interval: '1h',
      },
    }),
  );
  const controller = await world.up('--config', config);
  const files = (text: string) => ({'.hoody/crontab': `0 3 1 1 * ${text}\n`});
  const commit = await repository.commit('feature/x', files('one'));
  await controller.until('feature/x', active(commit));

  const tell = async (action: string) => {
    const repo = {id: 1};
    const body = JSON.stringify({
      action,
      number: 7,
      repository: {html_url: 'https://github.com/acme/shop'},
      pull_request: {head: {ref: 'feature/x', sha: commit, repo}, base: {repo}},
    });
    const headers = gitHubHeaders('pull_request', body);
    return (await fetch(`${controller.url}/hooks/github`, {method: 'POST', body, headers})).status;
  };
  gitHub.pulls = [{number: 7, branch: 'feature/x', commit, state: 'closed'}];
  // The word of a webhook alone ends nothing: GitHub is asked, and must answer as it does.
  gitHub.fail({when: /pulls/, kind: 'html'});
  t.is(await tell('closed'), 202);
  await gitHub.until(({path, status}) => path.endsWith('/pulls') && status === 200);
  t.is(await tell('closed'), 202);
  const closed = await controller.until('feature/x', ({container}) => container === null);
  t.like(
    closed.conditions.find(({type}) => type === 'Ready'),
    {status: 'False', reason: 'pull_request_closed'},
  );

  gitHub.pulls = [{number: 7, branch: 'feature/x', commit}];
  t.is(await tell('reopened'), 202);
  await controller.until('feature/x', active(commit));

  gitHub.pulls = [{number: 7, branch: 'feature/x', commit, state: 'closed'}];
  t.is(await tell('closed'), 202);
  await controller.until('feature/x', ({container}) => container === null);
  const next = await repository.commit('feature/x', files('two'));
  await controller.until('feature/x', active(next));
});
