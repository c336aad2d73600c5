/** The path of a container that is for the whole repository. */
export const wholeRepository = '.';

/** How people name what has a container: the branch, or in a monorepo `feature/x:services/billing`. */
export function branchName({branch, path}: {readonly branch: string; readonly path: string}): string {
  // No branch has a colon in its name.
  return path === wholeRepository ? branch : `${branch}:${path}`;
}

/** A path below `path`, from the top of the repository. */
export function inDirectory(path: string, file: string): string {
  return path === wholeRepository ? file : `${path}/${file}`;
}

/** Name by which the head of a fork's pull request is served. Git takes no branch of such a name. */
export function forkName(pullRequest: number): string {
  return `fork~${pullRequest}`;
}

export function isForkName(branch: string): boolean {
  return /^fork~\d+$/.test(branch);
}
