import {join} from 'node:path';
import {writeFileDurably} from '../../runtime/platform/durable-file.ts';
import {createGit} from '../../runtime/platform/git-process.ts';
import {type InheritedEnvironment, readingEnvironment} from './git-environment.ts';
import {createGitObjects, type GitObjects} from './git-objects.ts';
import {isObjectId} from './ref-output.ts';

/** What a merge of two commits makes; `unknown` where git cannot say, such as git older than 2.38 or a shallow clone. */
export type TrialMerge =
  | {readonly kind: 'merged'; readonly commit: string; readonly objects: GitObjects}
  | {readonly kind: 'conflicts'; readonly files: readonly string[]}
  | {readonly kind: 'unknown'};

/**
 * Merges two commits of the repository whose git directory is `gitDirectory`, without writing anything there: new
 * objects go to a repository in `scratchDirectory`, which has nothing of the other's configuration, so that no merge
 * driver that it names is run. `objects` of the result has child processes until it is closed.
 */
export async function tryMerge(
  [base, head]: readonly [string, string],
  {
    gitDirectory,
    scratchDirectory,
    repository,
    environment,
    signal,
  }: {
    gitDirectory: string;
    scratchDirectory: string;
    /** For messages. */
    repository: string;
    environment: InheritedEnvironment;
    signal: AbortSignal;
  },
): Promise<TrialMerge> {
  const git = createGit({
    environment: readingEnvironment(environment, {
      safeDirectory: scratchDirectory,
      gitDirectory: scratchDirectory,
    }),
  });
  const format = base.length === 64 ? 'sha256' : 'sha1';
  const initialised = await git.run(
    ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`],
    {
      signal,
    },
  );
  if (initialised.exitCode !== 0) return {kind: 'unknown'};
  await writeFileDurably(
    join(scratchDirectory, 'objects', 'info', 'alternates'),
    `${join(gitDirectory, 'objects')}\n`,
  );
  const merged = await git.run(
    ['merge-tree', '--write-tree', '--name-only', '--no-messages', '-z', base, head],
    {
      signal,
    },
  );
  const [tree = '', ...files] = text(merged.stdout).split('\0').filter(Boolean);
  if (merged.exitCode === 1 && isObjectId(tree)) return {kind: 'conflicts', files: [...new Set(files)]};
  if (merged.exitCode !== 0 || !isObjectId(tree)) return {kind: 'unknown'};
  const identity = ['-c', 'user.name=branchtab', '-c', 'user.email=branchtab@localhost'];
  const committed = await git.run(
    [...identity, 'commit-tree', tree, '-p', base, '-p', head, '-m', 'Trial merge'],
    {signal},
  );
  const commit = text(committed.stdout).trim();
  if (committed.exitCode !== 0 || !isObjectId(commit)) return {kind: 'unknown'};
  return {kind: 'merged', commit, objects: createGitObjects({git, repository})};
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
