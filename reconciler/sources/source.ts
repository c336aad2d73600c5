import type {Claim} from '../../schemas/claim.ts';

/** The port between the controller and one repository. Implementations: `git-local.ts`, `git-remote.ts`. */
export interface Source {
  /** What people see and what keys are made from: absolute real path, or URL without credentials. */
  readonly repository: string;
  readonly kind: 'local' | 'remote';
  /** The same for every name of the repository that can be told to be one: its git directory, or URL without decoration. */
  readonly identity: string;

  /**
   * One complete listing of the branches, or an error (AppError REPOSITORY_UNREADABLE): never a partial or
   * wrongly empty one. For a remote it fetches first.
   */
  list(options: {signal: AbortSignal}): Promise<RefListing>;
  /** Reads one ref directly, as a second proof that it is gone. Null when the ref does not exist. Local only; remote throws. */
  readRef(branch: string, options: {signal: AbortSignal}): Promise<string | null>;

  /**
   * Files below `.hoody/` of a commit, or null for a commit without that directory. In a monorepo `path` is the directory
   * that counts as the root.
   */
  readHoody(commit: string, options: {path?: string; signal: AbortSignal}): Promise<HoodyTree | null>;
  /**
   * Of the directories that the globs name, those with `.hoody/`, with the ids of their trees. `*` and `?` stop at a
   * slash, `!` excludes; the last one that matches decides. Throws PAYLOAD_TOO_LARGE for more than a thousand.
   */
  hoodyPaths(
    commit: string,
    options: {globs: readonly string[]; signal: AbortSignal},
  ): Promise<ReadonlyMap<string, string>>;
  /** For many commits at once: which have `.hoody/`, by one round through the object reader. */
  hasHoody(commits: readonly string[], options: {signal: AbortSignal}): Promise<ReadonlySet<string>>;
  /** One file of a commit, for what names files outside of `.hoody/`. No link is followed, at no place of the path. */
  readFile(commit: string, path: string, options: {signal: AbortSignal}): Promise<RepositoryFile>;
  /** What to write to turn tree `from` (null: nothing there yet) into tree `to`. Only differing subtrees are read. */
  diffTrees(from: string | null, to: string, options: {signal: AbortSignal}): Promise<TreeChange[]>;
  /** Names of all branches, those with the newest commits first. */
  newestFirst(options: {signal: AbortSignal}): Promise<string[]>;
  /** The newest commit that both come from; null where they have no common past. */
  mergeBase(one: string, other: string, options: {signal: AbortSignal}): Promise<string | null>;
  /** The commit whose id begins with these hex digits, in the history of `tip`; null where none does, or more than one. */
  findInHistory(tip: string, id: string, options: {signal: AbortSignal}): Promise<string | null>;
  /**
   * True where the commit of a pull request is here, or could be brought here by the name that GitHub gives to its
   * head. Local: looks only.
   */
  obtainPull(
    pull: {readonly number: number; readonly commit: string},
    options: {signal: AbortSignal},
  ): Promise<boolean>;
  /** Which of the branches are ancestors of `commit`. */
  branchesContainedIn(
    commit: string,
    tips: readonly BranchTip[],
    options: {signal: AbortSignal},
  ): Promise<ReadonlySet<string>>;
  /** Which of the branches changed no file that differs from that of `commit`, though they are no ancestors of it. */
  branchesEqualIn(
    commit: string,
    tips: readonly BranchTip[],
    options: {signal: AbortSignal},
  ): Promise<ReadonlySet<string>>;
  /** Makes many blobs readable by one request to where they are; without it each is asked for when it is read. */
  prepareBlobs(ids: readonly string[], options: {signal: AbortSignal}): Promise<void>;
  /** Bytes of a blob; AppError PAYLOAD_TOO_LARGE above `maxBytes`, before reading it. */
  readBlob(id: string, options: {maxBytes: number; signal: AbortSignal}): Promise<Uint8Array>;

  /** Calls back when refs may have changed; the event means only «list again». Remote: never calls. */
  watch(onChange: () => void): () => void;
  /** `refs/branchtab/owner`, for controllers on several machines. Only used where the operator asks for it. */
  readonly ownerRef: ClaimPlace;
  /** Ends child processes and watchers. */
  close(): Promise<void>;
}

/** A branch with its commit. */
export interface BranchTip {
  readonly branch: string;
  readonly commit: string;
}

/** A place where a repository says whose it is. */
export interface ClaimPlace {
  /** For people. */
  readonly where: string;
  /** How far apart looks at it are; 0 where it costs no more than a small file and is read before every change. */
  readonly intervalMs: number;
  /** Null where nobody has claimed it. Throws where it cannot be read: that says nothing. */
  read(): Promise<FoundClaim | null>;
  /** Puts `claim` (null for none) where `before` stands; false where something else stands there by now. */
  replace(before: FoundClaim | null, claim: Claim | null): Promise<boolean>;
}

export interface FoundClaim {
  /** As it stands there; tells one claim from another. */
  readonly text: string;
  /** Null where it cannot be understood. */
  readonly claim: Claim | null;
}

export interface RefListing {
  /** Branch name (without `refs/heads/`) to commit id. */
  readonly branches: ReadonlyMap<string, string>;
  /** The repository's default branch as far as git tells, else null. */
  readonly defaultBranch: string | null;
  /** Epoch ms at which the listing began. */
  readonly listedAtMs: number;
}

export interface HoodyTree {
  readonly commit: string;
  /** Id of the tree of the commit, or of its path: what the workspace shall hold. */
  readonly rootTree: string;
  /** Id of the `.hoody` tree. */
  readonly hoodyTree: string;
  readonly files: readonly HoodyFile[];
}

export interface HoodyFile {
  /** From the root, or from the path that counts as it, for example `.hoody/exec/rollup.ts`. */
  readonly path: string;
  readonly blob: string;
  /** Null when the blob is larger than `maxHoodyFileBytes`; `size` tells. */
  readonly bytes: Uint8Array | null;
  readonly size: number;
}

export type RepositoryFile =
  | {readonly kind: 'file'; readonly bytes: Uint8Array}
  /** Larger than `maxHoodyFileBytes`. */
  | {readonly kind: 'too_large'; readonly size: number}
  /** The path itself, or a directory on the way to it, is a symbolic link. */
  | {readonly kind: 'link' | 'directory' | 'absent'};

export type TreeChange =
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly blob: string;
      readonly mode: 'file' | 'executable' | 'symlink';
    }
  | {readonly kind: 'delete'; readonly path: string};

/** A `.hoody` file above this size is an issue of the branch, not something to load. */
export const maxHoodyFileBytes = 8 * 1024 * 1024;
