import * as z from 'zod';

/** What an event of GitHub says about a branch of the repository. */
export type Subject =
  | {
      readonly kind: 'branch';
      readonly branch: string;
      readonly commit: string;
      /** What to compare with: commits as git knows them, the best first. */
      readonly bases: readonly Base[];
      /** Commit whose files are meant; in a pull request that is what merging makes. */
      readonly head: string;
      readonly isFork: boolean;
      /** What is planned is a merge, and not what came since the base. */
      readonly isMerge: boolean;
    }
  | {readonly kind: 'gone'; readonly branch: string; readonly isFork: boolean}
  | {readonly kind: 'nothing'; readonly why: string};

export interface Base {
  readonly name: string;
  readonly revision: string;
}

/** What GitHub sets for each job. */
export interface EventFacts {
  /** `GITHUB_EVENT_NAME` */
  readonly name: string;
  /** `GITHUB_REF` */
  readonly ref: string;
  /** `GITHUB_SHA` */
  readonly sha: string;
  readonly payload: unknown;
}

const commitId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const refName = z.string().min(1).max(1024);
const isNone = (commit: string) => /^0+$/.test(commit);

const repository = z.looseObject({default_branch: refName.optional()}).optional();
const pushSchema = z.looseObject({ref: refName, before: commitId, after: commitId, repository});
const refSchema = z.looseObject({ref: refName, ref_type: z.string()});
const side = z.looseObject({ref: refName, sha: commitId, repo: z.looseObject({id: z.int()}).nullish()});
const pullRequestSchema = z.looseObject({
  action: z.string(),
  pull_request: z.looseObject({head: side, base: side}),
});
const anySchema = z.looseObject({repository});

/** Throws ZodError for a payload that is not one of the event's. */
export function subjectOf(facts: EventFacts): Subject {
  switch (facts.name) {
    case 'push':
      return ofPush(facts);
    case 'delete':
      return ofDeletion(facts);
    case 'pull_request':
      return ofPullRequest(facts);
    case 'pull_request_target':
      return nothing(
        'pull_request_target runs with the rights of the repository on what strangers wrote; use pull_request',
      );
    default:
      return ofRef(facts);
  }
}

const nothing = (why: string): Subject => ({kind: 'nothing', why});

function branchOf(ref: string): string | null {
  return /^refs\/heads\/(.+)$/s.exec(ref)?.[1] ?? null;
}

function ofPush({payload}: EventFacts): Subject {
  const {ref, before, after, repository} = pushSchema.parse(payload);
  const branch = branchOf(ref);
  if (branch === null) return nothing(`${ref} is no branch`);
  if (isNone(after)) return {kind: 'gone', branch, isFork: false};
  const former = isNone(before) ? [] : [{name: before.slice(0, 8), revision: before}];
  const bases = [...former, ...defaultBase(repository?.default_branch, branch)];
  return {kind: 'branch', branch, commit: after, head: after, bases, isFork: false, isMerge: false};
}

/** A workflow for this event runs on the default branch. */
function ofDeletion({payload}: EventFacts): Subject {
  const {ref, ref_type} = refSchema.parse(payload);
  return ref_type === 'branch'
    ? {kind: 'gone', branch: ref, isFork: false}
    : nothing(`a ${ref_type} was deleted, and no branch`);
}

function ofPullRequest({payload, sha}: EventFacts): Subject {
  const {action, pull_request: pull} = pullRequestSchema.parse(payload);
  const {head, base} = pull;
  const isFork = head.repo?.id !== base.repo?.id;
  if (action === 'closed') return {kind: 'gone', branch: head.ref, isFork};
  // What is checked out is the merge; its first parent is what it would be merged into.
  const bases = [
    ...(sha === head.sha ? [] : [{name: base.ref, revision: `${sha}^1`}]),
    {name: base.ref, revision: base.sha},
  ];
  return {kind: 'branch', branch: head.ref, commit: head.sha, head: sha, bases, isFork, isMerge: true};
}

/** `workflow_dispatch`, `schedule` and whatever else starts a workflow on a branch. */
function ofRef({name, ref, sha, payload}: EventFacts): Subject {
  const branch = branchOf(ref);
  if (branch === null) return nothing(`${name} is about ${ref || 'nothing'}, and no branch`);
  if (!commitId.safeParse(sha).success) return nothing(`${name} names no commit`);
  const {repository} = anySchema.parse(payload);
  const bases = defaultBase(repository?.default_branch, branch);
  return {kind: 'branch', branch, commit: sha, head: sha, bases, isFork: false, isMerge: false};
}

function defaultBase(defaultBranch: string | undefined, branch: string): Base[] {
  if (defaultBranch === undefined || defaultBranch === branch) return [];
  return [{name: defaultBranch, revision: `refs/remotes/origin/${defaultBranch}`}];
}
