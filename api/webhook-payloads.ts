import * as z from 'zod';
import type {ForgeNews, NewsSubject} from '../schemas/delivery.ts';
import {AppError} from '../schemas/errors.ts';
import {forgePath} from '../schemas/forge-path.ts';

/** What a forge's parser makes of a body; the rest is the same for all of them. */
type ParsedNews = Pick<ForgeNews, 'action' | 'repositories' | 'subject'>;

/** Throws ZodError for a body that is not one of the event's. */
export type PayloadParser = (event: string, payload: unknown) => ParsedNews;

const address = z.string().max(2048);
const commitId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const refName = z.string().min(1).max(1024);

const repositorySchema = z
  .looseObject({
    clone_url: address.optional(),
    ssh_url: address.optional(),
    html_url: address.optional(),
    git_http_url: address.optional(),
    git_ssh_url: address.optional(),
    web_url: address.optional(),
  })
  .transform((addresses) =>
    pathsOf([
      addresses.clone_url,
      addresses.ssh_url,
      addresses.html_url,
      addresses.git_http_url,
      addresses.git_ssh_url,
      addresses.web_url,
    ]),
  );

function pathsOf(addresses: readonly (string | undefined)[]): string[] {
  const paths = addresses.map((text) => (text === undefined ? null : forgePath(text)));
  return [...new Set(paths.filter((path) => path !== null))];
}

const nothing = (why: Extract<NewsSubject, {kind: 'nothing'}>['why']): NewsSubject => ({
  kind: 'nothing',
  why,
});

/** All zeros stand for no commit. */
const commitOrNone = commitId.transform((id) => (/^0+$/.test(id) ? null : id));

const pushSchema = z.looseObject({ref: refName, after: commitOrNone, repository: repositorySchema});

function ofPush(payload: unknown): ParsedNews {
  const {ref, after, repository} = pushSchema.parse(payload);
  const branch = /^refs\/heads\/(.+)$/s.exec(ref)?.[1];
  return {
    action: null,
    repositories: repository,
    subject: branch === undefined ? nothing('not_a_branch') : {kind: 'branch', branch, commit: after},
  };
}

const refSchema = z.looseObject({ref: refName, ref_type: z.string(), repository: repositorySchema});

function ofRef(payload: unknown, commit: null | undefined): ParsedNews {
  const {ref, ref_type, repository} = refSchema.parse(payload);
  return {
    action: null,
    repositories: repository,
    subject: ref_type === 'branch' ? {kind: 'branch', branch: ref, commit} : nothing('not_a_branch'),
  };
}

const pullRequestSchema = z.looseObject({
  action: z.string().max(100),
  number: z.int(),
  repository: repositorySchema,
  label: z.looseObject({name: z.string().max(200)}).nullish(),
  pull_request: z.looseObject({
    head: z.looseObject({
      ref: refName,
      sha: commitId,
      // Null where the fork is gone.
      repo: z.looseObject({id: z.int()}).nullish(),
    }),
    base: z.looseObject({repo: z.looseObject({id: z.int()})}),
  }),
});

function ofPullRequest(payload: unknown): ParsedNews {
  const {action, number, repository, label, pull_request: pull} = pullRequestSchema.parse(payload);
  const isOwn = pull.head.repo?.id === pull.base.repo.id;
  // Where the branch is by now, git says: it may be gone already when its pull request is closed.
  const commit = action === 'closed' ? undefined : pull.head.sha;
  return {
    action,
    repositories: repository,
    subject: isOwn
      ? {kind: 'pull_request', number, branch: pull.head.ref, commit}
      : {
          kind: 'fork',
          number,
          commit: pull.head.sha,
          label: action === 'labeled' ? (label?.name ?? null) : null,
        },
  };
}

const fullName = z.looseObject({full_name: z.string().max(512)});
const installationSchema = z.looseObject({
  action: z.string().max(100),
  sender: z.looseObject({html_url: address}),
  repositories: z.array(fullName).max(10_000).optional(),
  repositories_added: z.array(fullName).max(10_000).optional(),
  repositories_removed: z.array(fullName).max(10_000).optional(),
});

function ofInstallation(payload: unknown): ParsedNews {
  const {action, sender, ...lists} = installationSchema.parse(payload);
  const host = URL.canParse(sender.html_url) ? new URL(sender.html_url).origin : '';
  const named = [lists.repositories, lists.repositories_added, lists.repositories_removed].flatMap(
    (list) => list ?? [],
  );
  return {
    action,
    repositories: pathsOf(named.map(({full_name}) => `${host}/${full_name}`)),
    subject: {kind: 'repository'},
  };
}

/** Of an event that nobody here needs, and of one that did not exist when this was written. */
function ofUnknown(payload: unknown): ParsedNews {
  const known = z
    .looseObject({action: z.string().max(100).nullish(), repository: repositorySchema.nullish()})
    .safeParse(payload);
  return {
    action: known.data?.action ?? null,
    repositories: known.data?.repository ?? [],
    subject: nothing('unknown_event'),
  };
}

/** GitHub's events; Gitea and Forgejo send the same ones. */
export const parseGitHub: PayloadParser = (event, payload) => {
  switch (event) {
    case 'ping':
      return {...ofUnknown(payload), subject: nothing('ping')};
    case 'push':
      return ofPush(payload);
    case 'create':
      return ofRef(payload, undefined);
    case 'delete':
      return ofRef(payload, null);
    case 'pull_request':
      return ofPullRequest(payload);
    case 'installation':
    case 'installation_repositories':
    case 'installation_target':
      return ofInstallation(payload);
    default:
      return ofUnknown(payload);
  }
};

const mergeRequestSchema = z.looseObject({
  project: repositorySchema,
  object_attributes: z.looseObject({
    action: z.string().max(100).optional(),
    iid: z.int(),
    source_branch: refName,
    source_project_id: z.int(),
    target_project_id: z.int(),
    last_commit: z.looseObject({id: commitId}),
  }),
});

function ofMergeRequest(payload: unknown): ParsedNews {
  const {project, object_attributes: request} = mergeRequestSchema.parse(payload);
  const ends = request.action === 'close' || request.action === 'merge';
  return {
    action: request.action ?? null,
    repositories: project,
    subject:
      request.source_project_id === request.target_project_id
        ? {
            kind: 'pull_request',
            number: request.iid,
            branch: request.source_branch,
            commit: ends ? undefined : request.last_commit.id,
          }
        : nothing('fork'),
  };
}

export const parseGitLab: PayloadParser = (event, payload) => {
  switch (event) {
    case 'Push Hook': {
      const {project} = z.looseObject({project: z.unknown()}).parse(payload);
      return ofPush({...z.looseObject({}).parse(payload), repository: project});
    }
    case 'Tag Push Hook':
      return {...ofUnknown(payload), subject: nothing('not_a_branch')};
    case 'Merge Request Hook':
      return ofMergeRequest(payload);
    default:
      return ofUnknown(payload);
  }
};

const genericSchema = z.strictObject({
  repository: address,
  branch: refName.optional(),
  commit: commitOrNone.nullable().optional(),
  skip: z.literal(true).optional(),
});

/**
 * `{repository, branch?, commit?, skip?}`; `commit: null` for a branch that is gone, `skip` for a commit that is about
 * to be pushed and not to run.
 */
export const parseGeneric: PayloadParser = (_event, payload) => {
  const {repository, branch, commit, skip} = genericSchema.parse(payload);
  return {
    action: null,
    // A repository of the controller's own host has no other name than its path.
    repositories: repository.startsWith('/') ? [repository] : pathsOf([repository]),
    subject: genericSubject({branch, commit, skip}),
  };
};

function genericSubject({
  branch,
  commit,
  skip,
}: Pick<z.infer<typeof genericSchema>, 'branch' | 'commit' | 'skip'>): NewsSubject {
  if (skip === true) {
    if (branch === undefined || commit == null)
      throw new AppError('INVALID_BODY', 'What is to be skipped is a commit of a branch; name both.');
    return {kind: 'skip', branch, commit};
  }
  return branch === undefined ? {kind: 'repository'} : {kind: 'branch', branch, commit};
}
