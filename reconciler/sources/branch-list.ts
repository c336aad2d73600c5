import type {Git} from '../../runtime/platform/git-process.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {type ListedRefs, listRefsArguments, parseListedRefs} from './ref-output.ts';
import {unreadable} from './unreadable.ts';

/** One listing by one process: all refs that match `patterns`, or AppError REPOSITORY_UNREADABLE. */
export async function listRefs(
  git: Git,
  {repository, patterns, signal}: {repository: string; patterns: readonly string[]; signal: AbortSignal},
): Promise<ListedRefs> {
  const {exitCode, stdout, stderr} = await git.run([...listRefsArguments, ...patterns], {signal});
  // Git leaves out a ref it cannot read, warns and reports success: that would look like a deleted branch.
  if (exitCode !== 0 || /ignoring broken ref/.test(stderr)) {
    throw unreadable(repository, 'listing its branches', stderr || `git exited with code ${exitCode}`);
  }
  try {
    return parseListedRefs(stdout);
  } catch (error) {
    throw unreadable(
      repository,
      'listing its branches',
      error instanceof Error ? error.message : String(error),
      error,
    );
  }
}

/** Says once for each name that such a branch is not served; listings come every few seconds. */
export function createUnnameableWarning(log: Log, repository: string): (names: readonly string[]) => void {
  const warned = new Set<string>();
  return (names) => {
    for (const name of names) {
      if (warned.has(name)) continue;
      warned.add(name);
      log.warn('branch left out: its name is not UTF-8', {repository, name});
    }
  };
}
