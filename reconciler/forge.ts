import type {ForgeBudget} from '../schemas/delivery.ts';
import type {Issue} from '../schemas/issue.ts';

/** The port to where pull requests and reports live. Implementation: `sources/github/github-forge.ts`. */
export interface Forge {
  /** `host` of the repositories that it has, for example `github.com`. */
  readonly host: string;
  /** True where it writes check runs, with annotations; commit statuses otherwise. */
  readonly writesChecks: boolean;

  /**
   * Pull requests of a repository, the last changed first, as many as one page holds; of one branch where that is
   * given. Throws AppError FORGE_UNAVAILABLE for everything that is not a well-formed answer: nothing follows from it.
   */
  pullRequests(repository: string, options: {branch?: string; signal: AbortSignal}): Promise<PullRequest[]>;

  /** Throws as `pullRequests` does. */
  pullRequest(repository: string, number: number, options: {signal: AbortSignal}): Promise<PullRequest>;

  /** Writes nothing where the newest status of the context says the same. */
  setStatus(
    repository: string,
    commit: string,
    status: CommitStatus,
    options: {signal: AbortSignal},
  ): Promise<void>;
  /** `id` of the check run that was written before, or null; answers the id of the one that is there now. */
  putCheck(
    repository: string,
    commit: string,
    check: CheckRun,
    options: {id: number | null; signal: AbortSignal},
  ): Promise<number>;
  /** The deployment of a commit to an environment, made where there is none; null where it is not to be made. */
  putDeployment(
    repository: string,
    deployment: DeploymentRequest,
    options: {make: boolean; signal: AbortSignal},
  ): Promise<number | null>;
  /** Writes nothing where its newest state says the same. */
  setDeploymentState(
    repository: string,
    id: number,
    state: DeploymentState,
    options: {signal: AbortSignal},
  ): Promise<void>;
  /**
   * Writes the one comment that carries `marker`. `id` as for `putCheck`. Where it was deleted by a person it is made
   * anew.
   */
  putComment(
    repository: string,
    comment: {readonly pullRequest: number; readonly marker: string; readonly body: string},
    options: {id: number | null; signal: AbortSignal},
  ): Promise<number>;

  /**
   * Puts changed files on a branch of its own and opens a pull request for it. Where one is open it is that one, with
   * what the files are now. Throws as the others do, and REVISION_NOT_FOUND where the forge lacks `parent`.
   */
  propose(
    repository: string,
    proposal: ChangeProposal,
    options: {signal: AbortSignal},
  ): Promise<OpenProposal>;

  budget(): ForgeBudget;
}

export interface PullRequest {
  readonly number: number;
  readonly state: 'open' | 'closed';
  readonly isMerged: boolean;
  /** Of the head, in the repository itself unless `isFork`. */
  readonly branch: string;
  readonly commit: string;
  readonly base: string;
  readonly isFork: boolean;
  readonly labels: readonly string[];
}

export interface CommitStatus {
  readonly context: string;
  readonly state: 'pending' | 'success' | 'failure' | 'error';
  /** At most 140 characters. */
  readonly description: string;
  readonly targetUrl: string | null;
}

export interface CheckRun {
  readonly name: string;
  readonly externalId: string;
  /** Null while work is in hand. */
  readonly conclusion: 'success' | 'failure' | 'neutral' | null;
  readonly title: string;
  /** Markdown. */
  readonly summary: string;
  readonly detailsUrl: string | null;
  readonly annotations: readonly (Issue & {readonly level: 'failure' | 'warning'})[];
}

export interface DeploymentRequest {
  readonly commit: string;
  readonly environment: string;
  readonly description: string;
  /** Previews go; live stays. */
  readonly isTransient: boolean;
}

export interface DeploymentState {
  readonly state: 'in_progress' | 'success' | 'failure' | 'inactive';
  readonly description: string;
  readonly environmentUrl: string | null;
}

export interface ChangeProposal {
  /** Moved only while its newest commit carries `marker`: what others put there is left alone. */
  readonly branch: string;
  /** Branch that the pull request is for. */
  readonly base: string;
  /** Commit that the change is made of. */
  readonly parent: string;
  /** At least one. `content` is null where the file goes. */
  readonly files: readonly {
    readonly path: string;
    readonly content: Uint8Array | null;
    readonly isExecutable: boolean;
  }[];
  /** Of the pull request and the commit; one line. */
  readonly title: string;
  /** Markdown. */
  readonly body: string;
  /** A line of the commit's message. */
  readonly marker: string;
}

export interface OpenProposal {
  readonly number: number;
  readonly url: string;
  readonly branch: string;
  readonly commit: string;
  readonly outcome: 'opened' | 'updated' | 'unchanged';
}
