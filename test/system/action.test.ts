import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createActionWorld, payloadOf, pullRequestPayload, type Step} from '../helpers/action-world.ts';
import {active, createControllerWorld} from '../helpers/controller-world.ts';
import {createPushWorld} from '../helpers/git-world.ts';
import {createJobIssuer} from '../helpers/job-issuer.ts';

const crontab = (line: string) => ({'.hoody/crontab': `${line}\n`});
const none = '0'.repeat(40);

/** A controller that lets in jobs of acme/shop, and a checkout of that repository in which they run. */
async function setup(t: ExecutionContext) {
  t.timeout(300_000);
  const git = await createPushWorld(t);
  const first = await git.push('main', crontab('0 * * * * echo main'));
  const issuer = await createJobIssuer(t);
  const world = await createControllerWorld(t);
  const action = await createActionWorld(t);
  const config = join(world.stateDirectory, '..', 'branchtab.yaml');
  await writeFile(
    config,
    JSON.stringify({
      repositories: [{repository: git.origin.path, forge_url: 'https://github.com/acme/shop'}],
      poll_interval: '7d',
      deployers: [{issuer: issuer.url, audience: issuer.audience, host: 'github.com'}],
    }),
  );
  const controller = await world.up('--config', config);
  await controller.until('main', active(first));
  const inputs = {controller: controller.url, audience: issuer.audience, timeout: '4m'};
  const run = (step: Step) =>
    action.run({
      workspace: git.clone.path,
      ...step,
      inputs: {...inputs, ...step.inputs},
      environment: {...issuer.jobEnvironment, ...step.environment},
    });
  const push = (branch: string, before: string, after: string, step: Partial<Step> = {}) =>
    run({
      event: 'push',
      payload: payloadOf('push', {ref: `refs/heads/${branch}`, before, after, deleted: false}),
      ref: `refs/heads/${branch}`,
      sha: after,
      ...step,
    });
  return {git, first, issuer, controller, action, run, push};
}

test('a push is brought into its container, and the step says what that changed', async (t) => {
  const {git, first, controller, push, run} = await setup(t);
  const second = await git.push('main', crontab('*/5 * * * * echo main'));
  const {code, log, outputs, summary} = await push('main', first, second);
  t.is(code, 0, log);
  const branch = await controller.until('main', active(second));
  t.is(outputs.state, 'active');
  t.is(outputs.container, branch.container?.id);
  t.is(outputs['exec-url'], branch.container?.urls.exec);
  t.is(outputs['cron-url'], branch.container?.urls.cron);
  t.true(Number(outputs['active-ms']) > 0);
  t.regex(outputs.plan ?? '', /- \*\*changed\*\* `echo`: Every hour → Every 5 minutes/);
  t.regex(summary, new RegExp(`^## .main. ${second.slice(0, 8)}: active`));
  t.true(summary.includes(outputs.plan ?? 'none'));
  // Whoever reads the log must not get the container.
  t.false(log.includes(branch.container?.id ?? ''));
  t.false((log + summary).includes('/c/'));
  t.regex(log, /^::add-mask::ey/m);

  const broken = await git.push('main', crontab('61 * * * * echo broken'));
  const stalled = await push('main', second, broken);
  t.is(stalled.code, 1);
  t.is(stalled.outputs.state, 'stalled');
  t.regex(
    stalled.log,
    /^::error file=\.hoody\/crontab,line=1,col=1,title=schedule_invalid::The minute field/m,
  );
  t.regex(stalled.log, /^::error::Stalled: .*stays active/m);
  t.is(stalled.log.match(/^::error file=/gm)?.length, 1);
  t.is(await controller.crontab(branch), '*/5 * * * * echo main\n');

  const other = await git.push('docs', {'.hoody/crontab': null, 'README.md': 'x\n'});
  const unserved = await push('docs', none, other);
  t.is(unserved.code, 0);
  t.is(unserved.outputs.state, 'unserved');
  t.regex(unserved.log, /^::notice::Nothing is deployed/m);

  const late = await push('main', first, second);
  t.is(late.outputs.state, 'superseded');
  t.is(late.code, 0);

  for (const event of ['workflow_dispatch', 'schedule']) {
    const fixed = await git.push('main', crontab(`0 1 * * * echo ${event}`));
    const again = await run({
      event,
      payload: event === 'schedule' ? {schedule: '0 * * * *'} : payloadOf(event, {ref: 'refs/heads/main'}),
      sha: fixed,
      inputs: event === 'schedule' ? {wait: 'false'} : {},
    });
    t.is(again.outputs.state, event === 'schedule' ? 'told' : 'active', again.log);
    await controller.until('main', active(fixed));
  }
});

test('a branch that is deleted takes its container along, and teardown asks for nothing else', async (t) => {
  const {git, controller, push, run} = await setup(t);
  const commit = await git.push('feature/x', crontab('5 * * * * echo x'));
  t.is((await push('feature/x', none, commit)).outputs.state, 'active');
  const there = {event: 'workflow_dispatch', payload: {}, ref: 'refs/heads/feature/x', sha: commit};
  const early = await run({...there, inputs: {command: 'teardown', timeout: '1s'}});
  t.is(early.code, 1);
  t.regex(early.log, /Git still has the branch at/);
  const closed = await run({
    event: 'pull_request',
    payload: pullRequestPayload('closed', {head: ['feature/x', commit], base: ['main', commit]}),
    inputs: {timeout: '1s'},
  });
  t.is(closed.code, 0, closed.log);
  t.is(closed.outputs.state, 'still_there');

  await git.deleteBranch('feature/x');
  const gone = await run({
    event: 'delete',
    payload: payloadOf('delete', {ref: 'feature/x', ref_type: 'branch'}),
  });
  t.is(gone.code, 0, gone.log);
  t.is(gone.outputs.state, 'gone');
  t.regex(gone.summary, /^## `feature\/x` deleted: gone/);
  const branch = (await controller.client.branches()).find((each) => each.branch === 'feature/x');
  t.is(branch?.conditions[0]?.reason ?? 'trashed', 'trashed');
  const tag = await run({event: 'delete', payload: payloadOf('delete', {ref: 'v1', ref_type: 'tag'})});
  t.is(tag.outputs.state, 'skipped');
});

test('a job that cannot prove its repository is told why', async (t) => {
  const {first, issuer, push, controller} = await setup(t);
  const refused = async (step: Partial<Step>, says: RegExp) => {
    const {code, log, outputs} = await push('main', none, first, step);
    t.is(code, 1, log);
    t.is(outputs.state, 'failed');
    t.regex(log, says);
  };
  issuer.claims = {repository: 'acme/other'};
  await refused({}, /::error::The token is for another repository than the one in the body/);
  issuer.claims = {exp: Math.floor(Date.now() / 1000) - 120};
  await refused({}, /::error::The token of the CI job is refused: it ran out at/);
  issuer.claims = {};
  await refused(
    {inputs: {audience: 'sts.amazonaws.com'}},
    /it is for the audience "sts\.amazonaws\.com", and this controller/,
  );
  await refused({environment: {ACTIONS_ID_TOKEN_REQUEST_TOKEN: ''}}, /permissions: id-token: write/);
  await refused(
    {environment: {ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x'}},
    /GitHub gives this job no token: status 401/,
  );
  await refused({inputs: {token: 'no-token-of-ours'}}, /none of `deployers`/);
  await refused({inputs: {controller: 'http://127.0.0.1:9'}}, /No controller answers at/);
  await refused(
    {environment: {GITHUB_REPOSITORY: 'acme/unwatched'}, inputs: {}},
    /token is for another repository/,
  );
  issuer.claims = {repository: 'acme/unwatched'};
  await refused(
    {environment: {GITHUB_REPOSITORY: 'acme/unwatched'}},
    /The controller watches no repository https:\/\/github\.com\/acme\/unwatched/,
  );
  t.is((await controller.client.branches()).length, 1);
});
