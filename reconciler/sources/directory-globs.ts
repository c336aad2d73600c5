import {createBranchFilter} from '../../schemas/branch-glob.ts';
import {wholeRepository} from '../../schemas/branch-name.ts';
import type {TreeEntry} from './tree-object.ts';

export interface FoundDirectory {
  /** `.` for the root. */
  readonly path: string;
  readonly id: string;
}

const mostDirectories = 1000;
/** Longer ones, and those with control characters, could not be shown, nor be a label. */
const ordinaryPath = /^[^\p{Cc}]{1,255}$/u;

/** The directories that the globs name and that hold a directory of the name `holds`, by path. Only trees on the way are read. */
export async function findDirectories(
  root: FoundDirectory,
  globs: readonly string[],
  {
    entriesOf,
    holds,
    exceeded,
  }: {
    entriesOf: (directory: FoundDirectory) => Promise<ReadonlyMap<string, TreeEntry>>;
    holds: string;
    /** Throws. */
    exceeded: (what: string) => never;
  },
): Promise<FoundDirectory[]> {
  const includes = createBranchFilter(globs);
  const found = new Map<string, FoundDirectory>();
  let looked = 0;

  async function entries(directory: FoundDirectory): Promise<ReadonlyMap<string, TreeEntry>> {
    looked += 1;
    if (looked > 10 * mostDirectories) exceeded(`more than ${10 * mostDirectories} directories to look into`);
    return entriesOf(directory);
  }

  async function walk(directory: FoundDirectory, segments: readonly string[]): Promise<void> {
    const [segment, ...others] = segments;
    const below = await entries(directory);
    if (segment === undefined) {
      if (below.get(holds)?.kind === 'directory') found.set(directory.path, directory);
      if (found.size > mostDirectories) exceeded(`more than ${mostDirectories} directories with ${holds}`);
      return;
    }
    const matches = createBranchFilter([segment]);
    for (const [name, {kind, id}] of below) {
      const path = directory.path === wholeRepository ? name : `${directory.path}/${name}`;
      if (kind === 'directory' && matches(name) && ordinaryPath.test(path)) await walk({path, id}, others);
    }
  }

  for (const glob of globs.filter((text) => !text.startsWith('!')))
    await walk(root, glob === wholeRepository ? [] : glob.split('/'));
  return [...found.values()].filter(({path}) => includes(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
}
