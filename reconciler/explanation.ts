import type {Branch} from '../schemas/branch.ts';
import type {ExplanationStep, JournalEvent, PassCause} from '../schemas/journal.ts';
import type {RepositoryStatus, Sighting} from './repository-watch.ts';

type Worked = Extract<JournalEvent, {kind: 'worked'}>;

/** The way of a served branch from git to its container. `events` are those of its journal, newest first. */
export function explainServed(
  branch: Branch,
  {events, repository}: {events: readonly JournalEvent[]; repository: RepositoryStatus | null},
): ExplanationStep[] {
  const wanted = branch.rollback?.to ?? branch.revision;
  const worked = events.find(
    (event): event is Worked =>
      event.kind === 'worked' && event.revision === wanted && event.outcome !== 'superseded',
  );
  const applying = events.find(
    (event): event is Worked =>
      event.kind === 'worked' && event.revision === wanted && event.steps.length > 0,
  );
  return [
    seenStep(branch, events, repository),
    matchedStep(branch, events),
    ...(worked === undefined ? [] : [fetchedStep(worked), ...workSteps(worked, applying)]),
    nowStep(branch),
  ];
}

/** Why a branch that the repository has, or lacks, is not served. */
export function explainUnserved(
  sighting: Sighting | null,
  {branch, repository}: {branch: string; repository: RepositoryStatus},
): ExplanationStep[] {
  const name = JSON.stringify(branch);
  if (sighting === null) {
    const listing =
      repository.listed_at === null ? 'no listing yet' : `the listing of ${repository.listed_at}`;
    return [
      step('seen', 'failed', repository.listed_at, `${name} is not in ${listing}.${unreadable(repository)}`),
    ];
  }
  const {commit, listedAtMs, served, hasHoody} = sighting;
  const at = new Date(listedAtMs).toISOString();
  const seen = step(
    'seen',
    'done',
    at,
    `Commit ${short(commit)} is in the newest listing.${unreadable(repository)}`,
  );
  if (!served) {
    const message = 'The globs of the configuration (branches) leave it out, and it is not the live branch.';
    return [seen, step('matched', 'failed', at, message)];
  }
  const matched = step('matched', 'done', at, 'The globs of the configuration serve it.');
  if (!hasHoody)
    return [seen, matched, step('fetched', 'failed', at, `Commit ${short(commit)} has no .hoody directory.`)];
  return [seen, matched, step('now', 'waiting', null, 'It is about to be served.')];
}

function step(
  name: ExplanationStep['step'],
  state: ExplanationStep['state'],
  at: string | null,
  message: string,
): ExplanationStep {
  return {step: name, state, at, message};
}

function seenStep(
  {revision}: Branch,
  events: readonly JournalEvent[],
  repository: RepositoryStatus | null,
): ExplanationStep {
  const problem = repository === null ? '' : unreadable(repository);
  const [newest, former] = events.filter((event) => event.kind === 'seen' || event.kind === 'missing');
  if (newest?.kind === 'missing') {
    const sure = newest.proven ? 'for certain' : 'not yet for certain';
    return step('seen', 'failed', newest.at, `It is gone from git, ${sure}: ${newest.cause}.${problem}`);
  }
  if (newest === undefined || revision === null)
    return step('seen', 'waiting', null, `No commit of it is on record.${problem}`);
  const after =
    former?.kind === 'seen' && former.revision !== revision ? `, after ${short(former.revision)}` : '';
  const [cause] = newest.causes;
  const why =
    cause === undefined ? '' : ` The repository was listed because ${causeWords[cause.kind]} at ${cause.at}.`;
  return step('seen', 'done', newest.at, `Commit ${short(revision)}${after}.${why}${problem}`);
}

const causeWords: Record<PassCause['kind'], string> = {
  start: 'the controller started',
  interval: 'its interval was over',
  repository_event: 'its files changed',
  request: 'somebody asked for it',
  webhook: 'a webhook told of it',
  pull_request: 'its pull requests changed',
  second_look: 'a branch was missing and had to be looked for again',
};

function matchedStep({live}: Branch, events: readonly JournalEvent[]): ExplanationStep {
  const [newest] = events.filter((event) => event.kind === 'seen' || event.kind === 'missing');
  const at = newest?.at ?? null;
  if (newest?.kind === 'missing' && newest.cause === 'branch_excluded')
    return step('matched', 'failed', at, 'The globs of the configuration (branches) leave it out.');
  return step(
    'matched',
    'done',
    at,
    live ? 'It is the live branch.' : 'The globs of the configuration serve it as a preview.',
  );
}

function fetchedStep({read, at, reason, message}: Worked): ExplanationStep {
  if (read === null)
    return reason === 'repository_unreadable'
      ? step('fetched', 'failed', at, message)
      : step('fetched', 'waiting', at, 'Nothing of the commit was read.');
  const {crontabs, jobs, scripts} = read;
  const files = `${crontabs} crontab(s) with ${jobs} job(s), ${scripts} script(s)`;
  return step('fetched', 'done', at, `.hoody was read: ${files}.`);
}

function workSteps(newest: Worked, applying: Worked | undefined): ExplanationStep[] {
  if (newest.outcome === 'stalled') {
    const issues = newest.issues.map(
      ({file, line, column, message}) => `${file}:${line}:${column} ${message}`,
    );
    const why = issues.length === 0 ? newest.message : `Nothing is applied of it: ${issues.join('; ')}`;
    return [step('planned', 'failed', newest.at, why)];
  }
  const {steps, left, at, message, outcome, verified, active_ms, retry_at} =
    newest.steps.length > 0 || newest.outcome === 'failed' ? newest : (applying ?? newest);
  const planned = [...steps.map(({summary}) => summary), ...left];
  const plan = step(
    'planned',
    'done',
    at,
    planned.length === 0 ? 'Nothing differs from what runs.' : `${planned.join('; ')}.`,
  );
  if (planned.length === 0 && outcome !== 'failed') return [plan];
  const tookMs = steps.reduce((sum, {took_ms}) => sum + took_ms, 0);
  const done = `${steps.length} of ${planned.length} step(s) in ${tookMs} ms`;
  if (outcome === 'failed') {
    const retry = retry_at === null ? '' : ` It is tried again at ${retry_at}.`;
    return [plan, step('applied', 'failed', at, `${done}. ${message}${retry}`)];
  }
  const active = active_ms === null ? '' : ` Active ${active_ms} ms after the commit was seen.`;
  return [
    plan,
    step('applied', 'done', at, `${done}.`),
    verified
      ? step('verified', 'done', at, `Read back and compared: the container is as the commit says.${active}`)
      : step('verified', 'waiting', at, 'Nothing was compared: the commit is not what runs.'),
  ];
}

function nowStep({conditions}: Branch): ExplanationStep {
  const ready = conditions.find(({type}) => type === 'Ready');
  const reconciling = conditions.find(({type}) => type === 'Reconciling');
  if (ready === undefined) return step('now', 'waiting', null, 'Nobody has looked at it yet.');
  const work = reconciling?.status === 'True' ? ` ${reconciling.message}` : '';
  const state = ready.status === 'True' ? 'done' : work === '' ? 'failed' : 'waiting';
  return step('now', state, ready.last_transition_time, `${ready.message}${work}`);
}

function unreadable({error}: RepositoryStatus): string {
  return error === null ? '' : ` The repository cannot be read now: ${error.message}`;
}

function short(commit: string): string {
  return commit.slice(0, 8);
}
