import {createHash} from 'node:crypto';
import {branchName} from '../schemas/branch-name.ts';

/** What a container belongs to. `path` is `.` except in monorepos. */
export interface BranchIdentity {
  readonly repository: string;
  readonly path: string;
  readonly branch: string;
}

const longestSlug = 40;

/** True for what `branchKey` can give: it may name a file. */
export function isBranchKey(text: string): boolean {
  return /^[a-z0-9-]{1,49}$/.test(text);
}

/**
 * `<slug>-<8 hex>`: at most 49 characters of [a-z0-9-], readable by its slug, distinct by the hash over
 * repository, path and exact ref, so that `Feature/x` and `feature/x` never share a container.
 */
export function branchKey({repository, path, branch}: BranchIdentity): string {
  const slug = branchName({branch, path})
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, longestSlug)
    .replace(/^-+|-+$/g, '');
  const hash = createHash('sha256')
    .update(`${repository}\0${path}\0refs/heads/${branch}`)
    .digest('hex')
    .slice(0, 8);
  return `${slug === '' ? 'branch' : slug}-${hash}`;
}
