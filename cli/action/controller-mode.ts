import {createDeployClient} from '../../api/deploy-client.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {formatDuration} from '../../schemas/duration.ts';
import {
  condition,
  followDeployment,
  readyMessage,
  requireWatched,
  type Verdict,
} from '../follow-deployment.ts';
import type {Environment} from '../settings.ts';
import type {Inputs} from './inputs.ts';
import type {JobOutput} from './job-output.ts';
import {createJobToken} from './job-token.ts';
import type {Outcome} from './outcome.ts';

/** Tells the controller where the branch is, null for gone, and waits until that is so unless `wait` is false. */
export async function deployByController(
  {branch, commit, controller}: {branch: string; commit: string | null; controller: string},
  inputs: Inputs,
  {environment, output, clock}: {environment: Environment; output: JobOutput; clock: Clock},
): Promise<Outcome> {
  const {token} = inputs;
  const audience = inputs.audience ?? controller;
  const client = createDeployClient({
    url: controller,
    token:
      token === null
        ? createJobToken(environment, {audience, hide: output.hide, now: () => clock.now()})
        : async () => token,
  });
  const repository = `${environment.GITHUB_SERVER_URL ?? 'https://github.com'}/${environment.GITHUB_REPOSITORY ?? ''}`;
  const news = {repository, branch, commit, ...(inputs.path === null ? {} : {path: inputs.path})};
  if (!inputs.wait) {
    requireWatched(await client.tell(news), repository);
    return {state: 'told', message: 'The controller was told and brings it there.', isFailure: false};
  }
  const verdict = await followDeployment(client, news, {
    clock,
    timeoutMs: inputs.timeoutMs,
    onProgress: output.say,
  });
  await report(verdict, output);
  return outcomeOf(verdict, inputs.timeoutMs);
}

async function report(verdict: Verdict, output: JobOutput): Promise<void> {
  const [first] = 'branches' in verdict ? verdict.branches : [];
  if (first === undefined || !('branches' in verdict)) return;
  for (const branch of verdict.branches)
    for (const issue of condition(branch, 'Stalled')?.issues ?? []) output.annotate('error', issue);
  if (verdict.branches.length > 1)
    output.notice(
      'The branch has several containers; outputs are those of the first. The input path names one of them.',
    );
  const {container, active_ms} = first;
  if (container !== null) {
    await output.set('container', container.id);
    for (const [kit, url] of Object.entries(container.urls)) await output.set(`${kit}-url`, url);
  }
  if (verdict.kind === 'active' && active_ms !== null) await output.set('active-ms', String(active_ms));
}

function outcomeOf(verdict: Verdict, timeoutMs: number): Outcome {
  const of = (message: string, level: 'failure' | 'warning' | 'notice' | null = null): Outcome => ({
    state: verdict.kind,
    message,
    isFailure: level === 'failure',
    ...(level === 'warning' ? {warning: message} : {}),
    ...(level === 'notice' ? {notice: message} : {}),
  });
  switch (verdict.kind) {
    case 'active':
      return of(
        verdict.branches
          .map((branch) => {
            const took = branch.active_ms === null ? '' : ` It took ${formatDuration(branch.active_ms)}.`;
            const next = branch.next_run === null ? '' : ` The next run is at ${branch.next_run.at}.`;
            return `${readyMessage(branch)}${took}${next}`;
          })
          .join('\n'),
      );
    case 'stalled': {
      const stalled = verdict.branches.filter((branch) => condition(branch, 'Stalled')?.status === 'True');
      return of(stalled.map((branch) => `Stalled: ${readyMessage(branch)}`).join('\n'), 'failure');
    }
    case 'held':
      return of(verdict.branches.map(readyMessage).join('\n'), 'warning');
    case 'unserved':
      return of(
        'Nothing is deployed: the commit has no .hoody directory, or `branches` of branchtab.yaml leaves the branch out. `branchtab explain` says which.',
        'notice',
      );
    case 'superseded':
      return of(
        verdict.by === null
          ? 'The branch was deleted meanwhile.'
          : `Commit ${verdict.by.slice(0, 8)} came meanwhile; its own run says what becomes of it.`,
        'notice',
      );
    case 'gone':
      return of('Its container is gone, or it never had one.');
    case 'still_there':
      return of(
        `Git still has the branch at ${verdict.commit.slice(0, 8)}, so its container stays. Delete the branch; a closed pull request alone ends it where \`github\` is set in branchtab.yaml.`,
        'failure',
      );
    case 'timeout':
      return of(`Not done after ${formatDuration(timeoutMs)}. ${verdict.message}`, 'failure');
    default:
      return verdict satisfies never;
  }
}
