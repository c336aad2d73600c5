import type {BranchSettings} from '../schemas/branch-settings.ts';
import type {ControlState} from '../schemas/control-state.ts';
import type {Issue} from '../schemas/issue.ts';
import type {ScriptMount} from '../schemas/script-settings.ts';
import type {BranchRecord} from './branch-record.ts';
import type {Container} from './containers/provider.ts';

/** Everything the plan depends on, read at one moment. */
export interface Observation {
  readonly record: BranchRecord;
  readonly ref: ObservedRef;
  readonly container: Container | null;
  /** What a new container still lacks. */
  readonly pending: {readonly data: boolean; readonly entries: boolean};
  /** Null while the container does not run. */
  readonly runtime: ControlState | null;
}

export type ObservedRef =
  | {readonly kind: 'present'; readonly files: BranchFiles}
  /** The branch has no `.hoody/`, seen in a commit of its own. */
  | {readonly kind: 'without_hoody'; readonly commit: string}
  /** `proven`: two listings or a listing and a direct read agree, and the breaker allows it. */
  | {readonly kind: 'missing'; readonly proven: boolean; readonly cause: MissingCause | 'branch_idle'};

/**
 * Gone from git, no longer among the globs that the operator serves, merged into the live branch, given up with its
 * pull request, or without a change to the directory that the container is for.
 */
export type MissingCause =
  | 'branch_deleted'
  | 'branch_excluded'
  | 'branch_merged'
  | 'pull_request_closed'
  | 'path_unchanged';

/** The branch's files at one commit, checked as far as that needs a parser that loads lazily. */
export interface BranchFiles {
  readonly commit: string;
  readonly rootTree: string;
  /** Crontab text by user; `root` from `.hoody/crontab`, others from `.hoody/crontab.d/<user>`. */
  readonly crontabs: readonly CrontabFile[];
  readonly scripts: readonly ScriptFile[];
  /** What manifests say of scripts. */
  readonly mounts: readonly ScriptMount[];
  /** Null where the branch has none, or one with issues. */
  readonly settings: SettingsFile | null;
  /** Problems found while reading: sizes, names, encodings, scripts that do not parse. */
  readonly issues: readonly Issue[];
}

/** What a branch's `.hoody/settings.yaml` says. */
export interface SettingsFile {
  readonly settings: BranchSettings;
  /** Where a part of it stands. */
  readonly positionOf: (path: readonly PropertyKey[]) => {line: number; column: number};
}

export interface CrontabFile {
  readonly file: string;
  readonly user: string;
  readonly text: string;
  readonly sha256: string;
}

export interface ScriptFile {
  /** Path below `.hoody/exec/`, or below `_hoody/repository/` for a file elsewhere in the repository. */
  readonly path: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
}
