import type {Octokit} from '@octokit/rest';
import * as z from 'zod';
import type {Clock} from '../../../runtime/platform/clock.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import type {CheckRun, Forge, PullRequest} from '../../forge.ts';
import {answerOf, createBudget} from './budget.ts';
import {proposeChange} from './change-proposal.ts';
import {createOctokits, type GitHubCredentials, type OctokitFor} from './octokit.ts';

export interface GitHubForgeOptions {
  /** Host of the repositories, for example `github.com`. */
  readonly host: string;
  /** Without a final slash: `https://api.github.com`, or `https://<host>/api/v3`. */
  readonly apiUrl: string;
  /** Read at the first use, and again after it was refused. */
  readonly credentials: () => Promise<GitHubCredentials>;
  readonly writesChecks: boolean;
  /** Between two writes; three times as much between two comments. */
  readonly writeIntervalMs: number;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

const requestTimeoutMs = 30_000;
const pageSize = 100;
/** Pages of comments that are searched for ours. */
const mostCommentPages = 10;
/** GitHub takes no more at a time. */
const mostAnnotations = 50;

/** What is read of an answer; everything else GitHub may change. */
const idSchema = z.looseObject({id: z.int()});
const pullRequestSchema = z
  .looseObject({
    number: z.int(),
    state: z.enum(['open', 'closed']),
    merged_at: z.string().nullish(),
    head: z.looseObject({
      ref: z.string().min(1),
      sha: z.string().regex(/^[0-9a-f]{40,64}$/),
      repo: idSchema.nullable(),
    }),
    base: z.looseObject({ref: z.string().min(1), repo: idSchema}),
    labels: z.array(z.looseObject({name: z.string()})).default([]),
  })
  .transform(
    ({number, state, merged_at, head, base, labels}): PullRequest => ({
      number,
      state,
      isMerged: merged_at != null,
      branch: head.ref,
      commit: head.sha,
      base: base.ref,
      isFork: head.repo?.id !== base.repo.id,
      labels: labels.map(({name}) => name),
    }),
  );
const commentsSchema = z.array(z.looseObject({id: z.int(), body: z.string().nullish()}));
const statusesSchema = z.looseObject({
  statuses: z.array(
    z.looseObject({
      context: z.string(),
      state: z.string(),
      description: z.string().nullish(),
      target_url: z.string().nullish(),
    }),
  ),
});
const deploymentStatesSchema = z.array(
  z.looseObject({
    state: z.string(),
    description: z.string().nullish(),
    environment_url: z.string().nullish(),
  }),
);
const checksSchema = z.looseObject({
  check_runs: z.array(z.looseObject({id: z.int(), external_id: z.string().nullish()})),
});

/** GitHub, or GitHub Enterprise, by its REST API. Every failure is AppError FORGE_UNAVAILABLE or FORGE_REFUSED. */
export function createGitHubForge(options: GitHubForgeOptions): Forge {
  const {clock, log} = options;
  const budget = createBudget({nowMs: () => clock.now()});
  let octokits: Promise<OctokitFor> | null = null;

  const clientFor = async (owner: string, repo: string): Promise<Octokit> => {
    octokits ??= options.credentials().then((credentials) =>
      createOctokits({
        apiUrl: options.apiUrl,
        credentials,
        log,
        budget,
        writeIntervalMs: options.writeIntervalMs,
        userAgent: `branchtab/${options.version}`,
      }),
    );
    octokits.catch(() => {
      octokits = null;
    });
    return (await octokits)(owner, repo);
  };

  /** One request. `repository` is `host/owner/name`. */
  const call = async <T>(
    repository: string,
    schema: z.ZodType<T>,
    signal: AbortSignal,
    request: (octokit: Octokit, at: RequestBase) => Promise<{data: unknown}>,
  ): Promise<T> => {
    const [, owner = '', repo = ''] = repository.split('/');
    const either = AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]);
    try {
      const octokit = await clientFor(owner, repo);
      const {data} = await request(octokit, {owner, repo, request: {signal: either}});
      return schema.parse(data);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // A token that was exchanged meanwhile is read again at the next call.
      if (answerOf(error).status === unauthorized) octokits = null;
      throw translated(error, repository, clock.now());
    }
  };

  return {
    host: options.host,
    writesChecks: options.writesChecks,
    budget: () => budget.now(),

    pullRequests: (repository, {branch, signal}) =>
      call(repository, z.array(pullRequestSchema), signal, (octokit, at) =>
        octokit.rest.pulls.list({
          ...at,
          state: 'all',
          sort: 'updated',
          direction: 'desc',
          per_page: pageSize,
          ...(branch === undefined ? {} : {head: `${at.owner}:${branch}`}),
        }),
      ),

    pullRequest: (repository, number, {signal}) =>
      call(repository, pullRequestSchema, signal, (octokit, at) =>
        octokit.rest.pulls.get({...at, pull_number: number}),
      ),

    async setStatus(repository, commit, {context, state, description, targetUrl}, {signal}) {
      budget.requireForReport();
      const {statuses} = await call(repository, statusesSchema, signal, (octokit, at) =>
        octokit.rest.repos.getCombinedStatusForRef({...at, ref: commit, per_page: pageSize}),
      );
      const known = statuses.find((status) => status.context === context);
      const isSame = known?.state === state && known.description === description;
      if (isSame && (known.target_url ?? null) === targetUrl) return;
      await call(repository, z.looseObject({state: z.string()}), signal, (octokit, at) =>
        octokit.rest.repos.createCommitStatus({
          ...at,
          sha: commit,
          context,
          state,
          description,
          ...(targetUrl === null ? {} : {target_url: targetUrl}),
        }),
      );
    },

    async putCheck(repository, commit, check, {id, signal}) {
      budget.requireForReport();
      const known = id ?? (await findCheck(repository, commit, check, signal));
      const body = checkBody(check);
      const written = await call(repository, idSchema, signal, (octokit, at) =>
        known === null
          ? octokit.rest.checks.create({...at, ...body, head_sha: commit})
          : octokit.rest.checks.update({...at, ...body, check_run_id: known}),
      );
      return written.id;
    },

    async putDeployment(repository, {commit, environment, description, isTransient}, {make, signal}) {
      budget.requireForReport();
      // A crash may have come between the making of one and the note of it.
      const [known] = await call(repository, z.array(idSchema), signal, (octokit, at) =>
        octokit.rest.repos.listDeployments({...at, sha: commit, environment, task: 'deploy', per_page: 1}),
      );
      if (known !== undefined) return known.id;
      if (!make) return null;
      const made = await call(repository, idSchema, signal, (octokit, at) =>
        octokit.rest.repos.createDeployment({
          ...at,
          ref: commit,
          environment,
          description,
          auto_merge: false,
          required_contexts: [],
          transient_environment: isTransient,
          production_environment: !isTransient,
        }),
      );
      return made.id;
    },

    async setDeploymentState(repository, id, {state, description, environmentUrl}, {signal}) {
      budget.requireForReport();
      const [known] = await call(repository, deploymentStatesSchema, signal, (octokit, at) =>
        octokit.rest.repos.listDeploymentStatuses({...at, deployment_id: id, per_page: 1}),
      );
      const isSame = known?.state === state && known.description === description;
      if (isSame && (known.environment_url || null) === environmentUrl) return;
      await call(repository, idSchema, signal, (octokit, at) =>
        octokit.rest.repos.createDeploymentStatus({
          ...at,
          deployment_id: id,
          state,
          description,
          // Others may deploy to an environment of this name.
          auto_inactive: false,
          ...(environmentUrl === null ? {} : {environment_url: environmentUrl}),
        }),
      );
    },

    async putComment(repository, {pullRequest, marker, body}, {id, signal}) {
      budget.requireForReport();
      const known = id ?? (await findComment(repository, pullRequest, marker, signal));
      if (known !== null) {
        try {
          const updated = await call(repository, idSchema, signal, (octokit, at) =>
            octokit.rest.issues.updateComment({...at, comment_id: known, body}),
          );
          return updated.id;
        } catch (error) {
          if (!(error instanceof AppError) || answerOf(error.cause).status !== notFound) throw error;
        }
      }
      const made = await call(repository, idSchema, signal, (octokit, at) =>
        octokit.rest.issues.createComment({...at, issue_number: pullRequest, body}),
      );
      return made.id;
    },

    async propose(repository, proposal, {signal}) {
      try {
        return await proposeChange((schema, request) => call(repository, schema, signal, request), proposal);
      } catch (error) {
        const status = error instanceof AppError ? answerOf(error.cause).status : null;
        if (!(error instanceof AppError) || error.code !== 'FORGE_REFUSED' || status === null) throw error;
        throw new AppError(
          'FORGE_REFUSED',
          `${error.message} For this it needs "Contents" and "Pull requests": read and write, and rules of the repository that allow the branch ${proposal.branch}.`,
          {cause: error},
        );
      }
    },
  };

  async function findCheck(
    repository: string,
    commit: string,
    {name, externalId}: CheckRun,
    signal: AbortSignal,
  ): Promise<number | null> {
    const {check_runs: runs} = await call(repository, checksSchema, signal, (octokit, at) =>
      octokit.rest.checks.listForRef({...at, ref: commit, check_name: name, per_page: pageSize}),
    );
    return runs.find(({external_id}) => external_id === externalId)?.id ?? null;
  }

  async function findComment(
    repository: string,
    pullRequest: number,
    marker: string,
    signal: AbortSignal,
  ): Promise<number | null> {
    for (let page = 1; page <= mostCommentPages; page += 1) {
      const comments = await call(repository, commentsSchema, signal, (octokit, at) =>
        octokit.rest.issues.listComments({...at, issue_number: pullRequest, per_page: pageSize, page}),
      );
      const found = comments.find(({body}) => body?.startsWith(marker));
      if (found !== undefined) return found.id;
      if (comments.length < pageSize) return null;
    }
    return null;
  }
}

const unauthorized = 401;
const notFound = 404;
/** The request itself is wrong, or not allowed: the same one will not succeed. */
const refusals: readonly (number | null)[] = [400, 401, 403, 404, 410, 422];

interface RequestBase {
  readonly owner: string;
  readonly repo: string;
  readonly request: {readonly signal: AbortSignal};
}

function checkBody({name, externalId, conclusion, title, summary, detailsUrl, annotations}: CheckRun) {
  return {
    name,
    external_id: externalId,
    ...(conclusion === null ? {status: 'in_progress' as const} : {status: 'completed' as const, conclusion}),
    ...(detailsUrl === null ? {} : {details_url: detailsUrl}),
    output: {
      title,
      summary,
      annotations: annotations
        .slice(0, mostAnnotations)
        .map(({file, line, column, level, code, message}) => ({
          path: file,
          start_line: line,
          end_line: line,
          start_column: column,
          end_column: column,
          annotation_level: level,
          title: code,
          message,
        })),
    },
  };
}

function translated(error: unknown, repository: string, nowMs: number): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof z.ZodError) {
    return new AppError('FORGE_UNAVAILABLE', `The answer about ${repository} is not one of GitHub's API.`, {
      cause: error,
    });
  }
  const {status, headers} = answerOf(error);
  const limited = headers['x-ratelimit-remaining'] === '0' || headers['retry-after'] !== undefined;
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]?.slice(0, 300) ?? '';
  if (refusals.includes(status) && !limited) {
    return new AppError(
      'FORGE_REFUSED',
      `GitHub refuses a request about ${repository} (${status}): ${reason}. See docs/github.md for the permissions it needs.`,
      {cause: error},
    );
  }
  return new AppError('FORGE_UNAVAILABLE', `GitHub cannot be asked about ${repository}: ${reason}`, {
    cause: error,
    ...(limited ? {retryAfterSeconds: secondsUntilAllowed(headers, nowMs)} : {}),
  });
}

function secondsUntilAllowed(headers: ReturnType<typeof answerOf>['headers'], nowMs: number): number {
  const after = Number(headers['retry-after'] ?? Number.NaN);
  if (Number.isFinite(after)) return Math.max(1, after);
  const reset = Number(headers['x-ratelimit-reset'] ?? Number.NaN);
  return Number.isFinite(reset) ? Math.min(3600, Math.max(1, Math.ceil(reset - nowMs / 1000))) : 60;
}
