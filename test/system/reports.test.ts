import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {active, createControllerWorld, isTrue} from '../helpers/controller-world.ts';
import {createGitWorld} from '../helpers/git-world.ts';
import {createGitHubStandIn} from '../helpers/github-stand-in.ts';

const crontab = (text: string) => ({'.hoody/crontab': `${text}\n`});

/** A controller that reports to a stand-in for GitHub, over a repository with a live branch. */
async function setup(t: ExecutionContext, {as = 'token'}: {as?: 'token' | 'app'} = {}) {
  const gitHub = await createGitHubStandIn(t);
  const repository = await createGitWorld(t, {bare: true});
  const live = await repository.commit('main', crontab('0 1 * * * ./backup.sh'));
  const world = await createControllerWorld(t);
  const at = (name: string) => join(repository.directory, name);
  await writeFile(at('token'), gitHub.token);
  await writeFile(at('app.pem'), gitHub.app.privateKey);
  await writeFile(at('stripe'), 'sk_live_5f0c2b9e1a7d');
  const config = at('branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [{repository: repository.path, forge_url: 'https://github.com/acme/shop'}],
      undo_window: 0,
      public_url: 'https://branchtab.example.org',
      environments: [{branches: '**', secrets: {STRIPE_KEY: {from_file: at('stripe')}}}],
      github: {
        api_url: gitHub.apiUrl,
        write_interval: 0,
        poll_interval: '1s',
        ...(as === 'token'
          ? {token: {from_file: at('token')}}
          : {app: {id: Number(gitHub.app.id), private_key: {from_file: at('app.pem')}}}),
      },
    }),
  );
  const up = () => world.up('--config', config, '--yes');
  const statusesOf = (commit: string) =>
    gitHub.statuses.filter(({sha}) => sha === commit).map(({state}) => state);
  const untilStatus = async (commit: string, state: string) => {
    await gitHub.until(({path, body}) => path.endsWith(`/statuses/${commit}`) && body.state === state);
    return gitHub.statuses.findLast(({sha}) => sha === commit);
  };
  return {gitHub, repository, world, live, up, statusesOf, untilStatus};
}

test('with a token: statuses, a deployment for each branch, and one comment for a pull request', async (t) => {
  const {gitHub, repository, live, up, statusesOf, untilStatus} = await setup(t);
  const controller = await up();
  const good = await untilStatus(live, 'success');
  t.like(good, {context: 'branchtab', target_url: (good?.target_url as string) ?? ''});
  t.regex(String(good?.target_url), /^https:\/\/branchtab\.example\.org\/#main-/);
  t.regex(String(good?.description), /^1 job; next \d{4}-\d\d-\d\dT01:00Z backup$/);

  const commit = await repository.commit('feature/x', crontab('30 2 * * * ./backup.sh'));
  gitHub.pulls = [{number: 7, branch: 'feature/x', commit}];
  await controller.until('feature/x', active(commit));
  await untilStatus(commit, 'success');
  const comment = await gitHub.until(({method, path}) => method === 'POST' && path.endsWith('/7/comments'));
  t.regex(
    String(comment.body.body),
    /^<!-- branchtab [0-9a-f]{24} -->\n### Schedule: what merging into `main` \(live\) changes\n\n- \*\*changed\*\* `backup`: At 01:00 every day → At 02:30 every day/,
  );
  t.regex(String(comment.body.body), /`main` \(live\) then runs 1 job\./);
  await gitHub.until(({path, body}) => /deployments\/\d+\/statuses$/.test(path) && body.state === 'success');

  const broken = await repository.commit('feature/x', crontab('61 2 * * * ./backup.sh'));
  const bad = await untilStatus(broken, 'failure');
  t.regex(String(bad?.description), /^\.hoody\/crontab:1:1 /);
  t.deepEqual(statusesOf(broken), ['failure']);
  await gitHub.until(
    ({method, path, body}) =>
      method === 'PATCH' &&
      path.includes('/issues/comments/') &&
      /nothing of it is applied/.test(String(body.body)),
  );
  t.is(gitHub.comments.length, 1);

  const environments = new Map(gitHub.deployments.map(({id, environment}) => [id, environment]));
  t.deepEqual([...environments.values()].sort(), ['live', 'preview/feature/x']);
  const preview = gitHub.deployments.find(({environment}) => environment === 'preview/feature/x');
  t.like(preview, {ref: commit, transient_environment: true});
  const url = gitHub.deploymentStates.find(({deployment}) => deployment === preview?.id)?.environment_url;
  t.regex(String(url), /^https:\/\/branchtab\.example\.org\/#feature-x-/);
  await repository.deleteBranch('feature/x');
  await gitHub.until(
    ({path, body}) => path.endsWith(`/deployments/${preview?.id}/statuses`) && body.state === 'inactive',
  );
  await controller.untilForgotten('feature/x');
  const {container} = await controller.client.branch('main');
  const said = JSON.stringify(gitHub.requests.map(({body}) => body));
  t.false(said.includes(container?.id.slice('ctr_'.length) ?? 'no container'));
});

test('with an App: a check with what is wrong on the very line, a failing state of live among them', async (t) => {
  const {gitHub, repository, live, up} = await setup(t, {as: 'app'});
  const controller = await up();
  const conclusionOf = (commit: string) =>
    gitHub.checks.find(({head_sha}) => head_sha === commit)?.conclusion;
  const untilConcluded = (commit: string) =>
    gitHub.until(() => conclusionOf(commit) !== undefined && conclusionOf(commit) !== null);
  await untilConcluded(live);
  t.like(
    gitHub.checks.find(({head_sha}) => head_sha === live),
    {name: 'branchtab', conclusion: 'success'},
  );
  const broken = await repository.commit(
    'main',
    crontab('0 1 * * * ./backup.sh\n# why\n0 25 * * * ./report.sh'),
  );
  await controller.until('main', (branch) => isTrue(branch, 'Stalled'));
  await untilConcluded(broken);
  t.like(
    gitHub.checks.find(({head_sha}) => head_sha === broken),
    {
      conclusion: 'failure',
      output: {
        annotations: [{path: '.hoody/crontab', start_line: 3, end_line: 3, annotation_level: 'failure'}],
      },
    },
  );
  t.is(gitHub.statuses.length, 0);
});

test('what a hostile branch writes is neutral, and the values of secrets are nowhere', async (t) => {
  const {gitHub, repository, up} = await setup(t);
  const controller = await up();
  const branch = 'feature/@acme-team-<img/src=x>-`#1`';
  const commit = await repository.commit(
    branch,
    crontab(
      '# @acme/team\n0 2 * * * echo "```" @everyone <img src=x> [a](https://evil.example) sk_live_5f0c2b9e1a7d',
    ),
  );
  gitHub.pulls = [{number: 8, branch, commit}];
  await controller.until(branch, active(commit));
  const {body} = await gitHub.until(({method, path}) => method === 'POST' && path.endsWith('/8/comments'));
  const outside = String(body.body).replace(/(?<!`)(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, '');
  t.notRegex(outside, /@|<img|\]\(https:\/\/evil|#1|evil/);
  await gitHub.until(
    ({path, body: status}) => path.endsWith(`/statuses/${commit}`) && status.state === 'success',
  );
  t.false(JSON.stringify(gitHub.requests).includes('sk_live_5f0c2b9e1a7d'));
});

test('a controller that is killed between any two steps of its reports loses none and says none twice', async (t) => {
  const {gitHub, repository, up, untilStatus} = await setup(t);
  const commit = await repository.commit('feature/x', crontab('30 2 * * * ./backup.sh'));
  gitHub.pulls = [{number: 7, branch: 'feature/x', commit}];
  // A comment, and of each of two branches a status, a deployment and its state.
  for (let round = 0; round < 7; round += 1) {
    // Carried out, and the controller never learns of it.
    gitHub.fail({when: /^POST /, kind: 'held'});
    const seen = gitHub.requests.length;
    const controller = await up();
    await gitHub.until((request) => request.method === 'POST' && gitHub.requests.indexOf(request) >= seen);
    await controller.kill();
  }
  t.is(gitHub.requests.filter(({method}) => method === 'POST').length, 7);
  const controller = await up();
  await untilStatus(commit, 'success');
  await gitHub.until(({path}) => path.endsWith('/7/comments'));
  const next = await repository.commit('feature/x', crontab('30 3 * * * ./backup.sh'));
  gitHub.pulls = [{number: 7, branch: 'feature/x', commit: next}];
  await controller.until('feature/x', active(next));
  await untilStatus(next, 'success');
  await gitHub.until(({method, path}) => method === 'PATCH' && path.includes('/issues/comments/'));
  t.is(gitHub.comments.length, 1);
  await gitHub.until(({path, body}) => /deployments\/\d+\/statuses$/.test(path) && body.state === 'inactive');
  const said = gitHub.statuses.map(({sha, state}) => `${sha} ${state}`);
  t.deepEqual(said.toSorted(), [...new Set(said)].toSorted());
  const made = gitHub.deployments.map(({ref, environment}) => `${ref} ${environment}`);
  t.deepEqual(made.toSorted(), [...new Set(made)].toSorted());
  const states = gitHub.deploymentStates.map(({deployment, state}) => `${deployment} ${state}`);
  t.deepEqual(states.toSorted(), [...new Set(states)].toSorted());
});
