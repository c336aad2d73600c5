import type {DeployClient, DeployedBranch, DeploymentNews, Told} from '../api/deploy-client.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import {AppError} from '../schemas/errors.ts';

/** What became of a commit, or of a branch that is gone. `branches`: one for each directory in a monorepo. */
export type Verdict =
  | {readonly kind: 'active'; readonly branches: readonly DeployedBranch[]}
  /** Nothing changes before the input does. */
  | {readonly kind: 'stalled'; readonly branches: readonly DeployedBranch[]}
  /** It is there and does not run, because somebody wants it so. */
  | {readonly kind: 'held'; readonly branches: readonly DeployedBranch[]}
  | {readonly kind: 'unserved'}
  | {readonly kind: 'superseded'; readonly by: string | null}
  | {readonly kind: 'gone'}
  /** It was to be gone, and git has it. */
  | {readonly kind: 'still_there'; readonly commit: string}
  | {readonly kind: 'timeout'; readonly message: string};

/** Where the branch should be gone and git has it: so long until that is said. A pull request may be closed first. */
const longestFarewellMs = 30_000;
/** What git says is waited for, however short the time that was given. */
const longestLookMs = 30_000;
const shortestPauseMs = 100;
const longestPauseMs = 2000;

/**
 * Tells the controller where a branch is and waits until that is so in its container. Throws REPOSITORY_NOT_FOUND where
 * the controller watches no such repository, and what the controller answers.
 */
export async function followDeployment(
  client: DeployClient,
  wanted: DeploymentNews & {
    /** Of a monorepo, this directory alone. */
    readonly path?: string;
  },
  {clock, timeoutMs, onProgress}: {clock: Clock; timeoutMs: number; onProgress: (message: string) => void},
): Promise<Verdict> {
  const startedMs = clock.now();
  let told = await client.tell(wanted);
  requireWatched(told, wanted.repository);
  let last = '';
  for (let pauseMs = shortestPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
    if (told.looked_at === null) told = await client.told(told.id);
    const branches = told.looked_at === null ? [] : await branchesOf(client, told, wanted);
    const verdict = told.looked_at === null ? null : verdictOf(told, wanted, branches);
    const elapsedMs = clock.now() - startedMs;
    if (verdict !== null && (verdict.kind !== 'still_there' || elapsedMs > longestFarewellMs)) return verdict;
    const message = progressOf(told, branches);
    if (message !== last) onProgress(message);
    last = message;
    const mayEnd = told.looked_at !== null || elapsedMs > longestLookMs;
    if (mayEnd && elapsedMs > timeoutMs) return verdict ?? {kind: 'timeout', message};
    await clock.sleep(pauseMs);
  }
}

/** Throws REPOSITORY_NOT_FOUND where nobody watches the repository of the news. */
export function requireWatched({watched}: Told, repository: string): void {
  if (watched.length > 0) return;
  throw new AppError(
    'REPOSITORY_NOT_FOUND',
    `The controller watches no repository ${repository}. Add it to \`repositories\` of its branchtab.yaml; where it is read from another address, with \`forge_url: ${repository}\`.`,
  );
}

async function branchesOf(
  client: DeployClient,
  {watched}: Told,
  {branch, path}: {branch: string; path?: string},
): Promise<DeployedBranch[]> {
  const all = await client.branches();
  return all.filter(
    (candidate) =>
      candidate.branch === branch &&
      watched.includes(candidate.repository) &&
      (path === undefined || candidate.path === path),
  );
}

const departed: ReadonlySet<string> = new Set(['trashed', 'merged', 'pull_request_closed', 'idle_removed']);

/** Null while work is in hand. */
function verdictOf(
  {found}: Told,
  {commit}: DeploymentNews,
  branches: readonly DeployedBranch[],
): Verdict | null {
  if (commit === null) {
    if (branches.every((branch) => departed.has(condition(branch, 'Ready')?.reason ?? '')))
      return {kind: 'gone'};
    return found === null ? null : {kind: 'still_there', commit: found};
  }
  if (found !== commit) return {kind: 'superseded', by: found};
  if (branches.length === 0) return {kind: 'unserved'};
  const newer = branches.find(({revision}) => revision !== commit);
  if (newer !== undefined) return {kind: 'superseded', by: newer.revision};
  if (branches.some((branch) => isTrue(branch, 'Reconciling'))) return null;
  if (branches.some((branch) => isTrue(branch, 'Stalled'))) return {kind: 'stalled', branches};
  const isActive = (branch: DeployedBranch) => isTrue(branch, 'Ready') && branch.observed_revision === commit;
  return {kind: branches.every(isActive) ? 'active' : 'held', branches};
}

function progressOf({looked_at}: Told, branches: readonly DeployedBranch[]): string {
  if (looked_at === null) return 'The repository is being looked at.';
  const inHand = branches.find((branch) => isTrue(branch, 'Reconciling')) ?? branches[0];
  if (inHand === undefined) return 'The repository was looked at.';
  const reconciling = condition(inHand, 'Reconciling');
  const message = reconciling?.reason === 'retrying' ? condition(inHand, 'Ready')?.message : null;
  return message ?? (reconciling?.status === 'True' ? reconciling.message : readyMessage(inHand));
}

export function readyMessage(branch: DeployedBranch): string {
  return condition(branch, 'Ready')?.message ?? 'Nothing is known of it yet.';
}

export function condition(
  branch: DeployedBranch,
  type: 'Ready' | 'Reconciling' | 'Stalled',
): DeployedBranch['conditions'][number] | undefined {
  return branch.conditions.find((candidate) => candidate.type === type);
}

function isTrue(branch: DeployedBranch, type: 'Ready' | 'Reconciling' | 'Stalled'): boolean {
  return condition(branch, type)?.status === 'True';
}
