import {createHash, createPublicKey, createVerify, generateKeyPairSync, randomInt} from 'node:crypto';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {ExecutionContext} from 'ava';
import {gitRoutes} from './github-git.ts';
import {readGitHubDescription} from './github-openapi.ts';

const description = readGitHubDescription();

/** What goes wrong with the next request whose method and path match. */
export interface Fault {
  readonly when: RegExp;
  readonly times?: number;
  readonly kind:
    | {
        readonly status: number;
        readonly headers?: Readonly<Record<string, string>>;
        readonly message?: string;
      }
    /** A proxy's page instead of an answer, with the status of a good one. */
    | 'html'
    /** The connection ends in the middle of the body. */
    | 'truncated'
    /** The connection is closed before an answer. */
    | 'closed'
    /** The request was carried out, and its answer is lost. */
    | 'lost'
    /** The request was carried out, and its answer never comes. */
    | 'held'
    | {readonly afterMs: number};
}

export interface StandInPull {
  readonly number: number;
  readonly branch: string;
  readonly commit: string;
  readonly state?: 'open' | 'closed';
  readonly merged?: boolean;
  readonly base?: string;
  readonly isFork?: boolean;
  readonly labels?: readonly string[];
}

export interface StandInRequest {
  readonly method: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly status: number;
}

type Entry = Record<string, unknown> & {id: number};

/** GitHub's REST API as far as Branchtab uses it; every answer is checked against GitHub's own description. */
export interface GitHubStandIn {
  /** To be given as `api_url`. */
  readonly apiUrl: string;
  readonly token: string;
  readonly app: {readonly id: string; readonly privateKey: string};
  readonly requests: readonly StandInRequest[];
  pulls: StandInPull[];
  /** The git directory in which its branches and commits are. */
  gitDirectory: string;
  readonly statuses: Entry[];
  readonly checks: Entry[];
  readonly deployments: Entry[];
  readonly deploymentStates: (Entry & {deployment: number})[];
  readonly comments: (Entry & {issue: number})[];
  readonly hooks: Entry[];
  fail(fault: Fault): void;
  /** A repository in which nothing was ever written, and nothing goes wrong. */
  reset(): void;
  /** What is left of the limit, as it says in every answer. */
  limit: {limit: number; remaining: number; resetsAtMs: number};
  /** The tokens of installations that were given out open nothing any more. */
  revokeInstallationTokens(): void;
  /** Resolves when a request came for which `wanted` holds; also one that came before. */
  until(wanted: (request: StandInRequest) => boolean): Promise<StandInRequest>;
}

export interface Route {
  readonly method: string;
  readonly path: string;
  readonly answer: (
    values: Record<string, string>,
    body: Record<string, unknown>,
    query: URLSearchParams,
  ) => {status: number; data: unknown};
}

export async function createGitHubStandIn(
  t: ExecutionContext,
  {prefix = ''}: {prefix?: string} = {},
): Promise<GitHubStandIn> {
  const {privateKey, publicKey} = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: {type: 'pkcs1', format: 'pem'},
    publicKeyEncoding: {type: 'spki', format: 'pem'},
  });
  const problems: string[] = [];
  const faults: (Fault & {left: number})[] = [];
  const waiting = new Set<() => void>();
  const requests: StandInRequest[] = [];
  let installationTokens = new Set<string>();
  // Octokit shares what it asks at the same moment by this id alone, whichever server it is about.
  const installationId = randomInt(1, 1_000_000);
  let lastId = installationId;
  const nextId = () => {
    lastId += 1;
    return lastId;
  };

  const standIn = {
    apiUrl: '',
    token: 'ghp_0123456789abcdefghijklmnopqrstuvwxyz',
    app: {id: '4711', privateKey},
    requests,
    pulls: [] as StandInPull[],
    gitDirectory: '',
    statuses: [] as Entry[],
    checks: [] as Entry[],
    deployments: [] as Entry[],
    deploymentStates: [] as (Entry & {deployment: number})[],
    comments: [] as (Entry & {issue: number})[],
    hooks: [] as Entry[],
    limit: {limit: 5000, remaining: 4999, resetsAtMs: Date.now() + 3_600_000},
    fail: (fault: Fault) => void faults.push({...fault, left: fault.times ?? 1}),
    reset() {
      faults.length = 0;
      for (const list of [
        standIn.statuses,
        standIn.checks,
        standIn.deployments,
        standIn.deploymentStates,
        standIn.comments,
      ])
        list.length = 0;
    },
    revokeInstallationTokens: () => {
      installationTokens = new Set();
    },
    async until(wanted: (request: StandInRequest) => boolean) {
      for (;;) {
        const found = requests.find(wanted);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => waiting.add(resolve));
      }
    },
  };

  const repo = '/repos/{owner}/{repo}';
  const routes: Route[] = [
    {
      method: 'GET',
      path: `${repo}/pulls`,
      answer(_values, _body, query) {
        const branch = query.get('head')?.split(':').slice(1).join(':');
        const state = query.get('state') ?? 'open';
        const pulls = standIn.pulls.filter(
          (pull) =>
            (branch === undefined || pull.branch === branch) &&
            (state === 'all' || (pull.state ?? 'open') === state),
        );
        return {status: 200, data: pulls.slice(0, Number(query.get('per_page') ?? 30)).map(pullRequest)};
      },
    },
    {
      method: 'GET',
      path: `${repo}/pulls/{pull_number}`,
      answer({pull_number}) {
        const found = standIn.pulls.find(({number}) => number === Number(pull_number));
        if (found === undefined) return {status: 404, data: {message: 'Not Found'}};
        return {status: 200, data: wholePullRequest(found)};
      },
    },
    {
      method: 'POST',
      path: `${repo}/pulls`,
      answer(_values, {head, base, title, body}) {
        const pull = {number: nextId(), branch: String(head), commit: 'c'.repeat(40), base: String(base)};
        standIn.pulls.push(pull);
        return {status: 201, data: {...wholePullRequest(pull), title, body}};
      },
    },
    ...gitRoutes(description, () => standIn.gitDirectory),
    {
      method: 'POST',
      path: `${repo}/statuses/{sha}`,
      answer({sha = ''}, body) {
        const entry = {...description.example('status'), target_url: null, ...body, sha, id: nextId()};
        standIn.statuses.push(entry);
        const {sha: _sha, ...data} = entry as Entry & {sha: string};
        return {status: 201, data};
      },
    },
    {
      method: 'GET',
      path: `${repo}/commits/{ref}/status`,
      answer({ref = ''}) {
        const combined = description.example('combined-commit-status');
        const [example] = combined.statuses as object[];
        const newest = new Map(
          standIn.statuses.filter(({sha}) => sha === ref).map((status) => [status.context, status]),
        );
        const statuses = [...newest.values()].map(({id, state, context, description: words, target_url}) => ({
          ...example,
          id,
          state,
          context,
          description: words,
          target_url,
        }));
        return {status: 200, data: {...combined, sha: ref, statuses, total_count: statuses.length}};
      },
    },
    {
      method: 'GET',
      path: `${repo}/commits/{ref}/check-runs`,
      answer({ref = ''}, _body, query) {
        const runs = standIn.checks.filter(
          ({head_sha, name}) => head_sha === ref && name === query.get('check_name'),
        );
        return {status: 200, data: {total_count: runs.length, check_runs: runs.map(checkRun)}};
      },
    },
    {
      method: 'POST',
      path: `${repo}/check-runs`,
      answer(_values, body) {
        const entry = {...body, id: nextId()};
        standIn.checks.push(entry);
        return {status: 201, data: checkRun(entry)};
      },
    },
    {
      method: 'PATCH',
      path: `${repo}/check-runs/{check_run_id}`,
      answer({check_run_id}, body) {
        const entry = standIn.checks.find(({id}) => id === Number(check_run_id));
        if (entry === undefined) return {status: 404, data: {message: 'Not Found'}};
        Object.assign(entry, body);
        return {status: 200, data: checkRun(entry)};
      },
    },
    {
      method: 'GET',
      path: `${repo}/deployments`,
      answer(_values, _body, query) {
        const found = standIn.deployments.filter(
          ({sha, environment}) => sha === query.get('sha') && environment === query.get('environment'),
        );
        return {status: 200, data: found};
      },
    },
    {
      method: 'POST',
      path: `${repo}/deployments`,
      answer(_values, body) {
        const entry = {
          ...description.example('deployment-simple-example'),
          ...body,
          sha: body.ref,
          id: nextId(),
        };
        for (const name of ['auto_merge', 'required_contexts'])
          delete (entry as Record<string, unknown>)[name];
        standIn.deployments.push(entry);
        return {status: 201, data: entry};
      },
    },
    {
      method: 'GET',
      path: `${repo}/deployments/{deployment_id}/statuses`,
      answer({deployment_id}, _body, query) {
        const all = standIn.deploymentStates
          .filter(({deployment}) => deployment === Number(deployment_id))
          .map(({deployment: _deployment, ...state}) => state);
        return {status: 200, data: all.reverse().slice(0, Number(query.get('per_page') ?? 30))};
      },
    },
    {
      method: 'POST',
      path: `${repo}/deployments/{deployment_id}/statuses`,
      answer({deployment_id}, body) {
        const entry = {...description.example('deployment-status'), ...body, id: nextId()};
        delete (entry as Record<string, unknown>).auto_inactive;
        standIn.deploymentStates.push({...entry, deployment: Number(deployment_id)});
        return {status: 201, data: entry};
      },
    },
    {
      method: 'GET',
      path: `${repo}/issues/{issue_number}/comments`,
      answer({issue_number}, _body, query) {
        const [size, page] = [Number(query.get('per_page') ?? 30), Number(query.get('page') ?? 1)];
        const all = standIn.comments.filter(({issue}) => issue === Number(issue_number));
        return {status: 200, data: all.slice((page - 1) * size, page * size).map(withoutIssue)};
      },
    },
    {
      method: 'POST',
      path: `${repo}/issues/{issue_number}/comments`,
      answer({issue_number}, {body}) {
        const entry = {
          ...description.example('issue-comment'),
          body,
          id: nextId(),
          issue: Number(issue_number),
        };
        standIn.comments.push(entry);
        return {status: 201, data: withoutIssue(entry)};
      },
    },
    {
      method: 'PATCH',
      path: `${repo}/issues/comments/{comment_id}`,
      answer({comment_id}, {body}) {
        const entry = standIn.comments.find(({id}) => id === Number(comment_id));
        if (entry === undefined) return {status: 404, data: {message: 'Not Found'}};
        entry.body = body;
        return {status: 200, data: withoutIssue(entry)};
      },
    },
    {
      method: 'GET',
      path: `${repo}/installation`,
      answer: () => ({status: 200, data: {...description.example('installation'), id: installationId}}),
    },
    {
      method: 'POST',
      path: '/app/installations/{installation_id}/access_tokens',
      answer() {
        const token = `ghs_${createHash('sha256').update(String(nextId())).digest('hex').slice(0, 36)}`;
        installationTokens.add(token);
        const expires_at = new Date(Date.now() + 3_600_000).toISOString();
        return {status: 201, data: {...description.example('installation-token'), token, expires_at}};
      },
    },
    {
      method: 'GET',
      path: `${repo}/hooks`,
      answer: () => ({status: 200, data: standIn.hooks}),
    },
    {
      method: 'POST',
      path: `${repo}/hooks`,
      answer(_values, body) {
        const entry = {...description.example('hook'), ...body, id: nextId()};
        standIn.hooks.push(entry);
        return {status: 201, data: entry};
      },
    },
    {
      method: 'PATCH',
      path: `${repo}/hooks/{hook_id}`,
      answer({hook_id = ''}, body) {
        const known = standIn.hooks.find(({id}) => id === Number(hook_id));
        if (known === undefined) return {status: 404, data: {message: 'Not Found'}};
        return {status: 200, data: Object.assign(known, body)};
      },
    },
  ];

  const isKnown = (header: string, path: string): boolean => {
    const credential = header.replace(/^(?:token|bearer) /i, '');
    if (path.endsWith('/installation') || path.startsWith('/app/')) return isAppToken(credential);
    return credential === standIn.token || installationTokens.has(credential);
  };

  const isAppToken = (jwt: string): boolean => {
    const [head = '', claims = '', signature = ''] = jwt.split('.');
    const verify = createVerify('RSA-SHA256').update(`${head}.${claims}`);
    if (!verify.verify(createPublicKey(publicKey), Buffer.from(signature, 'base64url'))) return false;
    const {iss, exp} = JSON.parse(Buffer.from(claims, 'base64url').toString()) as {iss: unknown; exp: number};
    return String(iss) === standIn.app.id && exp * 1000 > Date.now();
  };

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    const method = incoming.method ?? 'GET';
    const path = url.pathname.slice(prefix.length);
    const text = await textOf(incoming);
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    const matched = routes
      .map((route) => ({route, values: valuesOf(route, method, path)}))
      .find(({values}) => values !== null);
    const done = (status: number) => {
      requests.push({method, path, body, status});
      for (const wake of waiting) wake();
      waiting.clear();
    };
    standIn.limit.remaining -= 1;
    const limits = () => ({
      'x-ratelimit-limit': String(standIn.limit.limit),
      'x-ratelimit-remaining': String(standIn.limit.remaining),
      'x-ratelimit-reset': String(Math.ceil(standIn.limit.resetsAtMs / 1000)),
    });
    const send = (status: number, data: unknown, headers: Readonly<Record<string, string>> = {}) => {
      const json = Buffer.from(JSON.stringify(data));
      outgoing.writeHead(status, {
        'Content-Type': 'application/json; charset=utf-8',
        'Content-Length': String(json.length),
        ...limits(),
        ...headers,
      });
      done(status);
      outgoing.end(json);
    };

    const fault = faults.find(({when, left}) => left > 0 && when.test(`${method} ${path}`));
    if (fault !== undefined) fault.left -= 1;
    const kind = fault?.kind;
    if (kind === 'closed') {
      done(0);
      incoming.socket.destroy();
      return;
    }
    if (kind === 'html') {
      outgoing.writeHead(200, {'Content-Type': 'text/html', ...limits()});
      done(200);
      outgoing.end('<html><body>We are doing our best to restore all services.</body></html>');
      return;
    }
    if (typeof kind === 'object' && 'status' in kind) {
      send(
        kind.status,
        {message: kind.message ?? 'Server Error', documentation_url: 'https://docs.github.com'},
        kind.headers,
      );
      return;
    }
    if (typeof kind === 'object') await new Promise((resolve) => setTimeout(resolve, kind.afterMs));
    if (!isKnown(incoming.headers.authorization ?? '', path)) {
      send(401, {message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest'});
      return;
    }
    if (matched === undefined || matched.values === null) {
      problems.push(`no route for ${method} ${path}`);
      send(404, {message: 'Not Found'});
      return;
    }
    const {route, values} = matched;
    const asked = method === 'GET' ? null : description.problemOf(route, 'request', body);
    if (asked !== null) {
      problems.push(asked);
      send(422, {message: asked});
      return;
    }
    const {status, data} = route.answer(values, body, url.searchParams);
    const problem = status === 404 ? null : description.problemOf(route, {status}, data);
    if (problem !== null) problems.push(problem);
    if (kind === 'lost' || kind === 'held') {
      done(status);
      if (kind === 'lost') incoming.socket.destroy();
      return;
    }
    const json = JSON.stringify(data);
    if (kind === 'truncated') {
      outgoing.writeHead(status, {'Content-Type': 'application/json', 'Content-Length': String(json.length)});
      outgoing.write(json.slice(0, Math.floor(json.length / 2)), () => incoming.socket.destroy());
      done(status);
      return;
    }
    const etag = `W/"${createHash('sha256').update(json).digest('hex')}"`;
    if (method === 'GET' && incoming.headers['if-none-match'] === etag) {
      standIn.limit.remaining += 1;
      outgoing.writeHead(304, {ETag: etag, ...limits()});
      done(304);
      outgoing.end();
      return;
    }
    send(status, data, method === 'GET' ? {ETag: etag} : {});
  };

  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch((error: unknown) => {
      problems.push(String(error));
      outgoing.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  standIn.apiUrl = `http://127.0.0.1:${address.port}${prefix}`;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    if (problems.length > 0) throw new Error(problems.join('\n'));
  });
  return standIn;
}

function valuesOf(route: Route, method: string, path: string): Record<string, string> | null {
  if (route.method !== method) return null;
  const [wanted, given] = [route.path.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  const values: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = decodeURIComponent(given[index] ?? '');
    if (part.startsWith('{')) values[part.slice(1, -1)] = value;
    else if (part !== value) return null;
  }
  return values;
}

function pullRequest({
  number,
  branch,
  commit,
  state = 'open',
  merged = false,
  base = 'main',
  isFork = false,
  labels = [],
}: StandInPull) {
  const [example] = description.example('pull-request-simple-items') as unknown as Record<string, unknown>[];
  const {head, base: exampleBase} = example as {head: {repo: object}; base: {repo: object}};
  const [label] = (example as {labels: object[]}).labels;
  return {
    ...example,
    number,
    html_url: `https://github.com/acme/shop/pull/${number}`,
    state,
    merged_at: merged ? '2026-01-01T00:00:00Z' : null,
    closed_at: state === 'closed' ? '2026-01-01T00:00:00Z' : null,
    requested_teams: [],
    labels: labels.map((name) => ({...label, name})),
    head: {...head, ref: branch, sha: commit, repo: {...head.repo, id: isFork ? 2 : 1}},
    base: {...exampleBase, ref: base, repo: {...exampleBase.repo, id: 1}},
  };
}

/** As GitHub answers for one, with more than in a list. */
function wholePullRequest(pull: StandInPull) {
  const {head, base, ...rest} = pullRequest(pull);
  const example = description.example('pull-request') as {head: object; base: object};
  return {
    ...example,
    ...rest,
    requested_reviewers: [],
    head: {...example.head, ...head},
    base: {...example.base, ...base},
  };
}

function checkRun({id, ...given}: Entry) {
  const {output, ...rest} = given as {output?: {annotations?: object[]}};
  return {
    ...description.example('check-run'),
    ...rest,
    id,
    output: {
      ...(description.example('check-run').output as object),
      ...output,
      annotations: undefined,
      annotations_count: output?.annotations?.length ?? 0,
    },
  };
}

function withoutIssue({issue: _issue, ...comment}: Entry & {issue: number}) {
  return comment;
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString('utf8');
}
