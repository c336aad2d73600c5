import type {Git} from '../../runtime/platform/git-process.ts';
import {isObjectId} from './ref-output.ts';
import type {BranchTip} from './source.ts';
import {unreadable} from './unreadable.ts';

/** Names that fit on a command line without doubt; beyond that all branches are asked for. */
const mostNames = 100;
const checksAtOnce = 8;

/** Which branches have arrived in another one. One process, whatever their number. */
export async function branchesContainedIn(
  git: Git,
  commit: string,
  tips: readonly BranchTip[],
  {repository, signal}: {repository: string; signal: AbortSignal},
): Promise<ReadonlySet<string>> {
  const names = tips.length > mostNames ? ['refs/heads'] : tips.map(({branch}) => `refs/heads/${branch}`);
  const format = '--format=%(objectname)%00%(refname)';
  const {exitCode, stdout, stderr} = await git.run(['for-each-ref', `--merged=${commit}`, format, ...names], {
    signal,
  });
  if (exitCode !== 0) throw unreadable(repository, `finding what is merged into ${commit}`, stderr);
  const contained = new Set(new TextDecoder().decode(stdout).split('\n'));
  // With its commit: the branch may have moved since it was listed.
  return new Set(
    tips.filter((tip) => contained.has(`${tip.commit}\0refs/heads/${tip.branch}`)).map(({branch}) => branch),
  );
}

/** Whether a commit is among the objects. One process. */
export async function hasCommit(git: Git, commit: string, {signal}: {signal: AbortSignal}): Promise<boolean> {
  if (!isObjectId(commit)) return false;
  return (await git.run(['cat-file', '-e', `${commit}^{commit}`], {signal})).exitCode === 0;
}

/** The newest commit that both come from; null where they have no common past. One process. */
export async function mergeBase(
  git: Git,
  [one, other]: readonly [string, string],
  {repository, signal}: {repository: string; signal: AbortSignal},
): Promise<string | null> {
  const {exitCode, stdout, stderr} = await git.run(['merge-base', one, other], {signal});
  // 1 without a word: the two have no common past.
  if (exitCode === 1 && stderr === '') return null;
  if (exitCode !== 0) throw unreadable(repository, `comparing with ${one}`, stderr);
  return new TextDecoder().decode(stdout).trim();
}

/**
 * Which branches have nothing left that another one lacks, although their commits are not in it: a squash, or a
 * rebase. Each file that the branch changed since it left is the same in both. Three processes for each branch.
 */
export async function branchesEqualIn(
  git: Git,
  commit: string,
  tips: readonly BranchTip[],
  {repository, signal}: {repository: string; signal: AbortSignal},
): Promise<ReadonlySet<string>> {
  const equal = new Set<string>();
  const rest = [...tips];
  const check = async () => {
    for (let tip = rest.shift(); tip !== undefined; tip = rest.shift())
      if (await isEqualIn(tip.commit)) equal.add(tip.branch);
  };

  async function isEqualIn(tip: string): Promise<boolean> {
    const base = await mergeBase(git, [commit, tip], {repository, signal});
    if (base === null) return false;
    const own = await changedPaths(base, tip);
    if (own.size === 0) return false;
    return (await changedPaths(commit, tip)).isDisjointFrom(own);
  }

  async function changedPaths(from: string, to: string): Promise<ReadonlySet<string>> {
    const {exitCode, stdout, stderr} = await git.run(
      ['diff-tree', '-r', '-z', '--no-renames', '--name-only', from, to],
      {signal},
    );
    return new Set(textOf(stdout, exitCode, stderr).split('\0').filter(Boolean));
  }

  function textOf(bytes: Uint8Array, exitCode: number, stderr: string): string {
    if (exitCode === 0) return new TextDecoder('latin1').decode(bytes);
    throw unreadable(repository, `comparing with ${commit}`, stderr);
  }

  await Promise.all(Array.from({length: checksAtOnce}, check));
  return equal;
}

/** A commit by the beginning of its id, where `tip` has it among its ancestors; null otherwise. Two processes. */
export async function findInHistory(
  git: Git,
  tip: string,
  id: string,
  {repository, signal}: {repository: string; signal: AbortSignal},
): Promise<string | null> {
  // Anything but digits would be an expression of git.
  if (!/^[0-9a-f]{4,64}$/.test(id)) return null;
  const found = await git.run(['rev-parse', '--verify', '--quiet', '--end-of-options', `${id}^{commit}`], {
    signal,
  });
  const commit = new TextDecoder().decode(found.stdout).trim().split('\n').at(-1) ?? '';
  if (found.exitCode !== 0 || !isObjectId(commit)) return null;
  const {exitCode, stderr} = await git.run(['merge-base', '--is-ancestor', commit, tip], {signal});
  if (exitCode > 1) throw unreadable(repository, `looking for ${commit} in the history of ${tip}`, stderr);
  return exitCode === 0 ? commit : null;
}

/** Names of all branches by the time of their commits. One process. */
export async function branchesNewestFirst(
  git: Git,
  {repository, signal}: {repository: string; signal: AbortSignal},
): Promise<string[]> {
  const {exitCode, stdout, stderr} = await git.run(
    ['for-each-ref', '--sort=-committerdate', '--format=%(refname:lstrip=2)', 'refs/heads'],
    {signal},
  );
  if (exitCode !== 0) throw unreadable(repository, 'sorting its branches', stderr);
  return new TextDecoder().decode(stdout).split('\n').filter(Boolean);
}
